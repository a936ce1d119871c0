//go:build unix

package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestParsePidFile(t *testing.T) {
	whole := "4711\n/data dir\n1700000000\n5432\n/tmp/x\n\n 1234 5678\nready   \n"
	for _, c := range []struct {
		text string
		want pidFile
		ok   bool
	}{
		{whole, pidFile{4711, "/tmp/x", "ready"}, true},
		{"4711\n/data\n", pidFile{4711, "", ""}, true},
		{"", pidFile{}, false},
		{"4711", pidFile{}, false},
		{"-1\n/data\n", pidFile{}, false},
		{"0\n/data\n", pidFile{}, false},
		{"x\n/data\n", pidFile{}, false},
	} {
		if got, ok := parsePidFile(c.text); got != c.want || ok != c.ok {
			t.Errorf("%q gives %+v, %v", c.text, got, ok)
		}
	}
}

func FuzzParsePidFile(f *testing.F) {
	f.Add("4711\n/data dir\n1700000000\n5432\n/tmp/x\n\n 1234 5678\nready   \n")
	f.Add("99999999999999999999\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parsePidFile(text)
		if ok && got.pid <= 0 {
			t.Errorf("pid %d", got.pid)
		}
		if !ok && got != (pidFile{}) {
			t.Errorf("refused, but %+v", got)
		}
	})
}

func TestPathNumber(t *testing.T) {
	paths := []string{"/usr/lib/postgresql/9/bin", "/usr/lib/postgresql/18/bin", "/Applications/Postgres.app/Contents/Versions/latest/bin", "/opt/homebrew/opt/postgresql@17/bin"}
	slices.SortFunc(paths, func(a, b string) int { return pathNumber(b) - pathNumber(a) })
	var numbers []int
	for _, p := range paths {
		numbers = append(numbers, pathNumber(p))
	}
	if !slices.Equal(numbers, []int{18, 17, 9, 0}) {
		t.Errorf("sorted %v", numbers)
	}
}

func TestComplaint(t *testing.T) {
	text := "2024 [1] LOG:  starting\n2024 [1] FATAL:  could not do it\n2024 [1] LOG:  database system is shut down\n"
	if got := complaint(text); got != "2024 [1] FATAL:  could not do it" {
		t.Errorf("the reason is %q", got)
	}
	if got := complaint("one\ntwo\n\n"); got != "two" {
		t.Errorf("without a reason the last line is %q", got)
	}
	if got := complaint(""); got != "" {
		t.Errorf("nothing gives %q", got)
	}
}

func TestLogStaysWithinItsLimit(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(filepath.Join(dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.file.Close()
	// The server's own handle, as its child has it.
	writer, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	write := func(s string) {
		if _, err := writer.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Repeat("a", 99))
	from := l.size()
	if err := l.rotate(100); err != nil || l.size() != 99 {
		t.Fatalf("a log below its limit was rotated: %v, %d bytes", err, l.size())
	}
	write("bc")
	if err := l.rotate(100); err != nil || l.size() != 0 {
		t.Fatalf("a log above its limit was not rotated: %v, %d bytes", err, l.size())
	}
	write("d")
	if got := l.since(from); got != "d" {
		t.Errorf("after the rotation the log says %q", got)
	}
	old, err := os.ReadFile(l.path + ".1")
	if err != nil || !bytes.HasSuffix(old, []byte("abc")) || len(old) != 101 {
		t.Errorf("the older log holds %d bytes: %v", len(old), err)
	}
}

func TestSocketPathIsShort(t *testing.T) {
	long := filepath.Join(place(t), strings.Repeat("long/", 60), "data")
	id, err := identityFor(Config{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := socketDir(Config{DataDir: long}, id)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	if n := len(filepath.Join(dir, socketName)); n > socketPathLimit {
		t.Errorf("the socket's path has %d bytes", n)
	}
}

// In a shared /tmp another user may have taken the folder's name.
func TestSocketFolderOfAnotherUser(t *testing.T) {
	needRoot(t)
	base := place(t)
	taken := filepath.Join(base, "purser-pg-x")
	if err := os.Mkdir(taken, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(taken, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	id := identity{uid: nobody, gid: nobody, drop: true}
	got, err := privateDir(base, taken, id)
	if err != nil {
		t.Fatal(err)
	}
	if got == taken || ownerOf(t, got) != nobody || ownerOf(t, taken) != 12345 {
		t.Errorf("took %s of uid %d", got, ownerOf(t, got))
	}
	link := filepath.Join(base, "purser-pg-y")
	if err := os.Symlink("/etc", link); err != nil {
		t.Fatal(err)
	}
	if got, err = privateDir(base, link, id); err != nil || got == link {
		t.Errorf("took the symbolic link: %s, %v", got, err)
	}
}
