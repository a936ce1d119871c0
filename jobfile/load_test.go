package jobfile_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"purser"
	"purser/jobfile"
)

// endless serves n bytes of a pattern without holding them, and counts what was
// taken.
type endless struct {
	pattern string
	n, read int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read >= e.n {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && e.read < e.n {
		p[n] = e.pattern[e.read%int64(len(e.pattern))]
		n++
		e.read++
	}
	return n, nil
}

// TestHundredMegabytes refuses a huge file after reading the cap and one byte
// more, in bounded memory.
func TestHundredMegabytes(t *testing.T) {
	for name, load := range loaders() {
		in := &endless{pattern: "a: [x]\n", n: 100 << 20}
		before := allocated()
		n, err := load("-", jobfile.Options{Stdin: in})
		checkRefusal(t, "stdin", n, err)
		if !strings.Contains(err.Error(), "larger than 8 MiB") {
			t.Errorf("%s: %v", name, err)
		}
		if in.read > jobfile.MaxSize+1 {
			t.Errorf("%s: %d bytes were read", name, in.read)
		}
		if used := allocated() - before; used > 64<<20 {
			t.Errorf("%s: %d MiB were allocated", name, used>>20)
		}
	}
}

// TestLargestFiles holds that files as large as may be, made to grow as much as
// they can, are refused in bounded memory.
func TestLargestFiles(t *testing.T) {
	for _, c := range []struct{ head, pattern string }{
		{"[", "a,"},
		{"{", "a,"},
		{"", "- a\n"},
		{"", "-\n"},
		{"", "?\n"},
		{"", "- "},
		{"", "["},
		{"", "a: b # c\n\n"},
		{"", "- &a b\n"},
		{"[", "\"x\":1,"},
		{"a: \"", "a"},
		{"a: |\n  ", "a"},
		{"", "a"},
		{"", "#"},
		{"a: [&a x", ",*a"},
		{"[", "[],"},
		{"", "- [a,a,a,a]\n"},
	} {
		const most = 499_000 // lines and separators
		separators := strings.Count(c.pattern, "\n")
		for _, s := range []string{",", ":", "[", "-", "?"} {
			separators += strings.Count(c.pattern, s)
		}
		n := jobfile.MaxSize/len(c.pattern) - 16
		if separators > 0 {
			n = min(n, most/separators)
		}
		data := []byte(c.head + strings.Repeat(c.pattern, n))
		before := allocated()
		jobs, err := jobfile.Parse("large.yaml", data, jobfile.Options{})
		checkRefusal(t, "large.yaml", len(jobs), err)
		used := allocated() - before
		t.Logf("%d MiB for %q and %d times %q: %.100s", used>>20, c.head, n, c.pattern, err)
		if used > 640<<20 {
			t.Errorf("%q: %d MiB were allocated", c.pattern, used>>20)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func loaders() map[string]func(string, jobfile.Options) (int, error) {
	return map[string]func(string, jobfile.Options) (int, error){
		"Load": func(path string, opt jobfile.Options) (int, error) {
			jobs, err := jobfile.Load(path, opt)
			return len(jobs), err
		},
		"LoadLimits": func(path string, opt jobfile.Options) (int, error) {
			l, err := jobfile.LoadLimits(path, opt)
			return len(l.Quotas) + len(l.Private), err
		},
	}
}

func TestLoadFromStdin(t *testing.T) {
	n, err := loaders()["Load"]("-", jobfile.Options{Stdin: strings.NewReader("name: a\ntrain: {cpus: 1, run_time: 5m, command: x}\n")})
	if n != 1 || err != nil {
		t.Errorf("%d jobs, %v", n, err)
	}
	n, err = loaders()["LoadLimits"]("-", jobfile.Options{Stdin: strings.NewReader("quotas: [{name: a, unit: vcpus, limit: 4}]\n")})
	if n != 1 || err != nil {
		t.Errorf("%d limits, %v", n, err)
	}
}

func TestLoadRefusesWhatIsNotAFile(t *testing.T) {
	dir := t.TempDir()
	for name, load := range loaders() {
		for path, cause := range map[string]error{filepath.Join(dir, "none.yaml"): fs.ErrNotExist, dir: nil} {
			_, err := load(path, jobfile.Options{})
			if purser.KindOf(err) != purser.KindInvalid || !strings.HasPrefix(err.Error(), path+": the file cannot be read") {
				t.Errorf("%s %s: %v", name, path, err)
			}
			if cause != nil && !errors.Is(err, cause) {
				t.Errorf("%s %s: the cause is lost: %v", name, path, err)
			}
		}
		_, err := load("-", jobfile.Options{Stdin: errorReader{}})
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errBroken = errors.New("broken pipe")

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errBroken }

// TestLocalFiles holds that files come from the job file's folder and nowhere
// else, whatever links there are.
func TestLocalFiles(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret"), []byte("secret"))
	write(filepath.Join(dir, "train.py"), []byte("print()"))
	write(filepath.Join(dir, "big"), bytes.Repeat([]byte{'x'}, jobfile.MaxFile+1))
	for link, to := range map[string]string{"inside": "train.py", "outside": filepath.Join(outside, "secret"), "up": "../" + filepath.Base(outside) + "/secret"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{"train.py": "", "inside": "", "outside": "escapes", "up": "escapes", ".": "names no file", "big": "larger than 4 MiB"} {
		path := filepath.Join(dir, "job.yaml")
		write(path, []byte("name: a\ntrain: {cpus: 1, run_time: 5m, command: x, files: ["+file+"]}\n"))
		jobs, err := jobfile.Load(path, jobfile.Options{})
		switch {
		case want == "" && (err != nil || string(jobs[0].Groups[0].Run.Files[0].Content) != "print()"):
			t.Errorf("%s: %v", file, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	_, err := jobfile.Parse("job.yaml", []byte("name: a\ntrain: {cpus: 1, run_time: 5m, command: x, files: [train.py]}\n"), jobfile.Options{})
	if err == nil || !strings.Contains(err.Error(), "cannot be brought from here") {
		t.Errorf("without a way to files: %v", err)
	}
}

// TestFilesAreCountedTogether refuses a bomb of one file brought by many jobs.
func TestFilesAreCountedTogether(t *testing.T) {
	var b strings.Builder
	b.WriteString("jobs:\n- {name: first, train: &t {cpus: 1, run_time: 5m, command: x, files: [big]}}\n")
	for i := range 10 {
		b.WriteString("- {name: j" + string(rune('a'+i)) + ", train: *t}\n")
	}
	reads := 0
	opt := jobfile.Options{ReadFile: func(string) ([]byte, error) { reads++; return make([]byte, jobfile.MaxFile), nil }}
	_, err := jobfile.Parse("bomb.yaml", []byte(b.String()), opt)
	if err == nil || !strings.Contains(err.Error(), "larger than 16 MiB together") || reads > 5 {
		t.Errorf("%d reads, %v", reads, err)
	}
}
