//go:build unix && !linux

package embedded

import "syscall"

// attributes puts a child into a process group of its own, so that Ctrl-C reaches the
// launcher first. Only Linux can signal a child when its parent dies; here the next
// start ends a server that survived its launcher.
func (id identity) attributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: id.credential()}
}
