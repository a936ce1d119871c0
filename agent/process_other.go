//go:build unix && !linux

package agent

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// groupAttr gives a process a group of its own. Only Linux can tie its life to the
// agent's; elsewhere the note on disk has to do.
func groupAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// processStart is when a process was started, as ps shows it, or "" when there is
// none of that number.
func processStart(pid int) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "lstart=", "-p", itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(out)), "_")
}
