package embedded

import "syscall"

// attributes puts a child into a process group of its own, so that Ctrl-C reaches the
// launcher first, and asks the kernel to send it death when the launcher is gone.
func (id identity) attributes(death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death, Credential: id.credential()}
}
