package local

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// processStart is when a process was started, in the kernel's own unit, or "" when
// there is none of that number or it has ended and waits to be taken note of.
func processStart(pid int) string {
	if f := stat(itoa(pid)); f != nil {
		return f[19]
	}
	return ""
}

// stat gives the fields of a live process from its state on, or nil.
func stat(pid string) []string {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil
	}
	// The second field is the command in parentheses, which may hold anything.
	i := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[i+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return nil
	}
	return fields
}

// groupLives says whether a process group has a live process. Those that have ended
// and wait to be taken note of do not count: perhaps nobody ever will.
func groupLives(group int) bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if f := stat(e.Name()); f != nil && f[2] == itoa(group) {
			return true
		}
	}
	return false
}

// processesWith gives the live processes of this user, other than this one, that
// were started with a variable that begins so.
func processesWith(variable string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	want := []byte(variable)
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err != nil {
			continue // gone, or another user's
		}
		// Variables end with a zero byte, and so may what is looked for.
		if (bytes.HasPrefix(b, want) || bytes.Contains(b, append([]byte{0}, want...))) && processStart(pid) != "" {
			out = append(out, pid)
		}
	}
	return out
}
