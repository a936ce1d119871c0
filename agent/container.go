package agent

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"purser"
)

// Containers are run by whichever of podman and docker is there, as a process of
// ours: its signals and its exit code are the container's. The container sees the
// working directory, the checkpoints and the progress file at the same paths as
// outside, so the contract of the environment holds inside.

// chooseRuntime says what a task's image is run with; empty: plain processes. In a
// rehearsal a command runs without its image where no runtime is at hand, since the
// machine is only stood in for; elsewhere that would be another thing than was asked
// for.
func chooseRuntime(c Config, r purser.Run, rehearsal bool) (string, error) {
	if r.Image == "" {
		return "", nil
	}
	for _, name := range c.Runtimes {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	if rehearsal && r.Command != "" {
		return "", nil
	}
	return "", &purser.Error{
		Kind: purser.KindInvalid, Op: "agent.run", Message: "the image " + r.Image + " cannot be run: this machine has no container runtime",
		Hint: "install podman or docker, or give a command without an image",
	}
}

func (x execution) containerName() string { return "purser-" + fileName(string(x.spec.Task.ID)) }

func (x execution) containerArgs() []string {
	r := x.spec.Group.Run
	args := []string{
		x.runtime, "run", "--rm", "--init", "--network", "host", "--name", x.containerName(),
		"--label", "purser.lease=" + string(x.config.Lease), "--workdir", x.folders.work,
	}
	for _, dir := range []string{x.folders.own, x.folders.work, x.folders.checkpoint} {
		args = append(args, "--volume", dir+":"+dir)
	}
	for _, e := range x.env {
		name, _, _ := strings.Cut(e, "=")
		args = append(args, "--env", name) // the value comes from the runtime's own environment, where ps does not show it
	}
	if gpus(x.spec) && len(x.grant.numbers) > 0 {
		args = append(args, gpuArgs(filepath.Base(x.runtime), x.grant)...)
	}
	args = append(args, r.Image)
	script := r.Command
	if r.Setup != "" && script != "" {
		script = "{ " + r.Setup + "\n} && { " + script + "\n}"
	}
	if script != "" {
		args = append(args, "/bin/sh", "-c", script)
	}
	return args
}

// gpuArgs hands the container its devices, each runtime in its own spelling.
func gpuArgs(runtime string, g grant) []string {
	if runtime == "docker" {
		return []string{"--gpus", `"device=` + numbersOf(g) + `"`}
	}
	var args []string
	for _, n := range g.numbers {
		args = append(args, "--device", "nvidia.com/gpu="+itoa(n))
	}
	return args
}

// removeContainer sees to it that nothing is left when the runtime's own process
// was killed.
func (x execution) removeContainer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = exec.CommandContext(ctx, x.runtime, "rm", "--force", x.containerName()).Run() // it is usually gone already
}
