package embedded

import (
	"fmt"
	"os"
	"strings"
)

// processArguments is a process's command line, separated by spaces; "" when it is
// gone, a zombie or hidden.
func processArguments(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(data), "\x00", " ")
}
