package agent

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"purser"
	"purser/api"
)

func fixed() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }

func lines(l *taskLog) (out []string) {
	for _, x := range l.waiting {
		out = append(out, x.Text)
	}
	return out
}

func TestCapture(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"lines", "a\nb\n", []string{"a", "b"}},
		{"no last newline", "a\nb", []string{"a", "b"}},
		{"empty lines", "\n\n", []string{"", ""}},
		{"line as long as may be", long + "\ny\n", []string{long, "y"}},
		{"line too long by one", long + "z\n", []string{long, "z"}},
		{"line twice too long", long + long + "\n", []string{long, long}},
		{"carriage returns", "10%\r50%\r100%\nend\r\n", []string{"100%", "end"}},
		{"no text", "a\x00b\xff\xfe\n", []string{"a\uFFFDb\uFFFD"}},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "data with the error": iotest.DataErrReader} {
			l := newTaskLog("t", 64<<20, fixed)
			l.capture("stdout", wrap(strings.NewReader(c.in)))
			if got := lines(l); !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: %d lines %.80q", c.name, how, len(got), got)
			}
		}
	}
}

func FuzzCapture(f *testing.F) {
	f.Add([]byte("a\nb"), 1)
	f.Add([]byte("\xff\x00\r\n"), 3)
	f.Fuzz(func(t *testing.T, in []byte, chunk int) {
		l := newTaskLog("t", 1<<30, fixed)
		l.capture("stdout", &chunked{in, max(chunk, 1)})
		for _, s := range lines(l) {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\n\r") || len(s) > 3*maxLine {
				t.Fatalf("line %q", s)
			}
		}
		// The cutting into lines does not depend on how the bytes came.
		again := newTaskLog("t", 1<<30, fixed)
		again.capture("stdout", &chunked{in, len(in) + 1})
		if !slices.Equal(lines(l), lines(again)) {
			t.Fatalf("in pieces of %d: %q, whole: %q", chunk, lines(l), lines(again))
		}
	})
}

type chunked struct {
	rest []byte
	size int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:min(c.size, len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

// Whatever is printed, sent, lost and acknowledged when: the server gets every line
// that was not dropped, once, in order, numbered without gaps, and is told how many
// were dropped.
func TestLogsArriveInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(200, 5000).Draw(t, "limit")
		l := newTaskLog("t", limit, fixed)
		var printed, got []string
		dropped := 0
		send := func() {
			batch, _ := l.batch()
			if len(batch) == 0 {
				return
			}
			if again, _ := l.batch(); !slices.Equal(batch, again) {
				t.Fatalf("a batch that was not acknowledged changed")
			}
			taken := rapid.IntRange(0, len(batch)).Draw(t, "acknowledged")
			for _, x := range batch[:taken] {
				if x.Seq != int64(len(got))+1 {
					t.Fatalf("line %d after %d", x.Seq, len(got))
				}
				got = append(got, x.Text)
				if x.Stream == "agent" {
					dropped++
				}
			}
			if taken > 0 {
				l.acknowledged(batch[taken-1].Seq)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "print") {
				text := strings.Repeat("x", rapid.IntRange(0, 300).Draw(t, "length"))
				printed = append(printed, text)
				l.add("stdout", text)
				if l.bytes > limit && len(l.waiting) > 1 {
					t.Fatalf("%d bytes wait; %d are allowed", l.bytes, limit)
				}
			} else {
				send()
			}
		}
		for n := 0; n < 10_000 && (len(l.waiting) > 0 || len(l.sent) > 0 || l.dropped > 0); n++ {
			send()
		}
		i := 0
		for _, text := range got {
			if strings.HasPrefix(text, "… ") {
				continue
			}
			for i < len(printed) && printed[i] != text {
				i++ // dropped
			}
			if i == len(printed) {
				t.Fatalf("line %q came that was not printed then", text)
			}
			i++
		}
		if missing := len(printed) - (len(got) - dropped); missing > 0 != (dropped > 0) {
			t.Fatalf("%d lines are missing and %d notes say so", missing, dropped)
		}
	})
}

func TestDevices(t *testing.T) {
	d := newDevices(2500)
	take := func(want purser.MilliDevices, numbers ...int) grant {
		t.Helper()
		g, ok := d.take(want)
		if ok != (numbers != nil) || (ok && !slices.Equal(g.numbers, numbers)) {
			t.Fatalf("take(%d) = %v, %v; want %v; free %v", want, g.numbers, ok, numbers, d.free)
		}
		return g
	}
	half := take(500, 2) // the device that is only half there is the fullest
	take(250, 0)
	take(500, 0)
	take(1000, 1)
	take(500)
	take(250, 0)
	take(125)
	d.give(half)
	take(125, 2)
	take(1000)
}

// Devices are never given beyond what there is; shares pack exactly when they come
// largest first; and giving all back restores all.
func TestDevicesPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 16).Draw(t, "devices")
		d := newDevices(purser.MilliDevices(n) * purser.OneDevice)
		left := purser.MilliDevices(n) * purser.OneDevice
		var wants []purser.MilliDevices
		for range rapid.IntRange(1, 100).Draw(t, "tasks") {
			w := rapid.SampledFrom([]purser.MilliDevices{125, 250, 500, 1000, 2000, 4000}).Draw(t, "want")
			if w <= left {
				wants, left = append(wants, w), left-w
			}
		}
		slices.SortFunc(wants, func(a, b purser.MilliDevices) int { return int(b - a) })
		var grants []grant
		used := make([]purser.MilliDevices, n)
		for _, w := range wants {
			g, ok := d.take(w)
			if !ok {
				t.Fatalf("%d does not fit though %v do together on %d devices", w, wants, n)
			}
			for _, i := range g.numbers {
				if used[i] += g.each; used[i] > purser.OneDevice {
					t.Fatalf("device %d is given out beyond itself", i)
				}
			}
			grants = append(grants, g)
		}
		for _, g := range grants {
			d.give(g)
		}
		if !slices.Equal(d.free, d.caps) {
			t.Fatalf("after all came back %v is free of %v", d.free, d.caps)
		}
	})
}

func TestFilesStayInside(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../x", "/etc/x", "a/../../x", "", ".", "link/x", "a\x00b"} {
		if err := writeFiles(dir, []purser.File{{Path: path, Content: []byte("x")}}); err == nil || purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%q: %v", path, err)
		}
	}
	if holdsAnything(outside) {
		t.Error("a file was written outside")
	}
	if err := writeFiles(dir, []purser.File{{Path: "a/b/../c", Content: []byte("x"), Mode: 0o750}, {Path: "a/c", Content: []byte("y")}}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "a/c"))
	if b, _ := os.ReadFile(filepath.Join(dir, "a/c")); err != nil || string(b) != "y" || info.Mode().Perm() != 0o644 {
		t.Errorf("the later file of one path does not win: %q, %v, %v", b, info.Mode(), err)
	}
}

func TestFoldersThatLeadOut(t *testing.T) {
	c := Config{Dir: t.TempDir(), CheckpointRoot: t.TempDir()}
	for name, change := range map[string]func(*api.TaskSpec){
		"working directory":     func(s *api.TaskSpec) { s.Group.Run.Workdir = "../x" },
		"checkpoint":            func(s *api.TaskSpec) { s.Group.Checkpoint.Path = "a/../../x" },
		"checkpoint is workdir": func(s *api.TaskSpec) { s.Group.Checkpoint.Path = "./" },
	} {
		s := api.TaskSpec{Task: purser.Task{ID: "t", Job: "../../job"}, Group: purser.TaskGroup{Name: "g"}}
		change(&s)
		if _, err := prepare(c, s); purser.KindOf(err) != purser.KindInvalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := api.TaskSpec{Task: purser.Task{ID: "../../t", Job: "../../job"}, Group: purser.TaskGroup{Name: "g"}}
	f, err := prepare(c, s)
	if err != nil || !strings.HasPrefix(f.checkpoint, c.CheckpointRoot+"/") || !strings.HasPrefix(f.work, c.Dir+"/") {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestProgressIsReadWithCare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "progress")
	if _, ok := progress(path); ok {
		t.Error("no file is progress")
	}
	for text, want := range map[string]float64{"0.5": 0.5, " 1\n": 1, "7": 1, "-3": 0, "0.25\nmore": 0.25, "nan": -1, "half": -1, "": -1, "+Inf": 1} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := progress(path); ok != (want >= 0) || (ok && got != want) {
			t.Errorf("progress %q is %v, %v; want %v", text, got, ok, want)
		}
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, "lease-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.put("a", entry{Report: api.TaskReport{Task: "a", State: purser.TaskRunning}}); err != nil {
		t.Fatal(err)
	}
	for i := range maxDone + 10 {
		if j.Done = append(j.Done, purser.TaskID(itoa(i))); i%1000 == 0 {
			if err := j.save(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.done("b"); err != nil {
		t.Fatal(err)
	}
	again, err := openJournal(dir, "lease-1")
	if err != nil || !again.begun("a") || !again.begun("b") || again.begun("c") || len(again.Done) != maxDone {
		t.Errorf("the journal forgets: %v, %d done", err, len(again.Done))
	}
	if _, err := openJournal(dir, "lease-2"); purser.KindOf(err) != purser.KindConflict || err == nil {
		t.Errorf("another lease's folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "journal.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(dir, "lease-1"); err == nil {
		t.Error("a broken journal is taken for an empty one")
	}
}

func TestSecretLasts(t *testing.T) {
	dir := t.TempDir()
	a, err := secret(dir)
	b, err2 := secret(dir)
	if errors.Join(err, err2) != nil || a != b || len(a) != 64 {
		t.Errorf("%q, %q, %v", a, b, errors.Join(err, err2))
	}
	info, err := os.Stat(filepath.Join(dir, "secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret may be read by others: %v, %v", info.Mode(), err)
	}
	if other, _ := secret(t.TempDir()); other == a {
		t.Error("two agents have one secret")
	}
}
