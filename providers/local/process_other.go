//go:build unix && !linux

package local

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// processStart is when a process was started, as ps shows it, or "" when there is
// none of that number.
func processStart(pid int) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "stat=,lstart=", "-p", itoa(pid)).Output()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) < 2 || strings.HasPrefix(fields[0], "Z") {
		return ""
	}
	return strings.Join(fields[1:], "_")
}

// groupLives says whether a process group has a process.
func groupLives(group int) bool { return syscall.Kill(-group, 0) == nil }

// processesWith finds processes by a variable of theirs, which only Linux shows
// reliably. Elsewhere the notes of groups and the agent's lock have to do.
func processesWith(string) []int { return nil }
