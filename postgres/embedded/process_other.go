//go:build unix && !linux

package embedded

import (
	"os/exec"
	"strconv"
	"strings"
)

// processArguments is a process's command line, separated by spaces; "" when it is
// gone.
func processArguments(pid int) string {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
