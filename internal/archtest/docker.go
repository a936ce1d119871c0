package archtest

import (
	"fmt"
	"regexp"
	"strings"
)

// instruction is one instruction of a Dockerfile, its continued lines joined.
type instruction struct {
	line int
	name string // upper case
	args string
}

var (
	dockerUser  = regexp.MustCompile(`^[^\s:]+`)
	dockerFrom  = regexp.MustCompile(`(?i)^(?:--platform=\S+ )?(\S+)(?: AS (\S+))?$`)
	dockerCopy  = regexp.MustCompile(`--from=(\S+)`)
	dockerLists = "rm -rf /var/lib/apt/lists/*"
)

// CheckDockerfile holds the image's recipe to what can be told without building
// it: pinned bases, named stages, an unprivileged user, a health check, the port,
// the form of the entry point, and apt-get that leaves nothing behind.
func CheckDockerfile(name, text string) []Violation {
	var out []Violation
	fail := func(line int, format string, args ...any) {
		out = append(out, Violation{name, line, "docker", fmt.Sprintf(format, args...)})
	}
	stages := map[string]bool{}
	final := map[string]instruction{} // of the last stage, by name
	for _, in := range instructions(text) {
		switch in.name {
		case "FROM":
			final = map[string]instruction{}
			m := dockerFrom.FindStringSubmatch(in.args)
			switch {
			case m == nil:
				fail(in.line, "FROM %s is not an image with an optional AS name", in.args)
				continue
			case !stages[m[1]] && !strings.Contains(m[1], "@") && (!strings.Contains(m[1], ":") || strings.HasSuffix(m[1], ":latest")):
				fail(in.line, "%s has no fixed tag, so that two builds may differ", m[1])
			}
			if m[2] != "" {
				stages[m[2]] = true
			}
		case "COPY":
			if m := dockerCopy.FindStringSubmatch(in.args); m != nil && !stages[m[1]] {
				fail(in.line, "COPY --from=%s names no earlier stage", m[1])
			}
		case "ADD":
			fail(in.line, "COPY says what it does; ADD also unpacks and downloads")
		case "RUN":
			if strings.Contains(in.args, "apt-get install") &&
				(!strings.Contains(in.args, "--no-install-recommends") || !strings.Contains(in.args, "apt-get update") || !strings.Contains(in.args, dockerLists)) {
				fail(in.line, "apt-get install stands in one RUN with apt-get update, --no-install-recommends and %s", dockerLists)
			}
		}
		final[in.name] = in
	}
	return sorted(append(out, finalStage(name, final)...))
}

// finalStage checks what the image itself promises.
func finalStage(name string, final map[string]instruction) []Violation {
	var out []Violation
	want := func(instruction, reason string, ok func(args string) bool) {
		in, there := final[instruction]
		if !there || !ok(in.args) {
			out = append(out, Violation{name, in.line, "docker", fmt.Sprintf("the last stage wants %s %s", instruction, reason)})
		}
	}
	execForm := func(args string) bool { return strings.HasPrefix(args, "[") && strings.HasSuffix(args, "]") }
	want("USER", "with a user that is not root", func(args string) bool {
		user := dockerUser.FindString(args)
		return user != "" && user != "root" && user != "0"
	})
	want("HEALTHCHECK", "that runs a command", func(args string) bool { return strings.Contains(args, "CMD [") })
	want("EXPOSE", "7077", func(args string) bool { return args == "7077" })
	want("VOLUME", "for the data folder", func(args string) bool { return args != "" })
	want("ENTRYPOINT", "in exec form, so that signals arrive", execForm)
	want("CMD", "in exec form", execForm)
	return out
}

// instructions cuts a Dockerfile into instructions, without comments.
func instructions(text string) []instruction {
	var out []instruction
	var current *instruction
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		body, continued := strings.CutSuffix(trimmed, `\`)
		body = strings.TrimSpace(body)
		if current == nil {
			name, args, _ := strings.Cut(body, " ")
			current = &instruction{i + 1, strings.ToUpper(name), strings.TrimSpace(args)}
		} else {
			current.args += " " + body
		}
		if !continued {
			out = append(out, *current)
			current = nil
		}
	}
	return out
}
