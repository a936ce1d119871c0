package jobfile

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
)

// TestDocs holds docs/jobfile.md against the code: every field is in a table
// there, and every example parses.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/jobfile.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "|") {
			for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(line, -1) {
				documented[m[1]] = true
			}
		}
	}
	// These stand in running text or within braces.
	inText := []string{"kind", "from", "to", "path", "content", "mode", "level", "share", "size", "time"}
	for _, fields := range [][]string{
		jobFileTable.names(), jobTable.names(), groupTables[purser.Training][true].names(), groupTables[purser.Inference][true].names(),
		trainingEntries.names(), checkpointTable.names(), modelTable.names(), federatedTable.names(), siteTable.names(), quotaTable.names(), commitmentTable.names(), machineTable.names(), amortizationTable.names(), powerTable.names(), limitsTable.names(), usersTable.names(), dataTable.names(), placeTable.names(),
	} {
		for _, f := range fields {
			if !documented[f] && !slices.Contains(inText, f) {
				t.Errorf("docs/jobfile.md has no %s", f)
			}
		}
	}
	blocks := regexp.MustCompile("(?s)```yaml (job|limits)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 5 {
		t.Errorf("only %d examples", len(blocks))
	}
	for i, b := range blocks {
		name := fmt.Sprintf("example %d", i+1)
		if b[1] == "limits" {
			_, err = ParseLimits(name, []byte(b[2]))
		} else {
			_, err = Parse(name, []byte(b[2]), Options{Now: time.Unix(1e9, 0)})
		}
		if err != nil {
			t.Error(err)
		}
	}
}
