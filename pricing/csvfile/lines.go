package csvfile

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"purser"
)

// Limits on a file, far above any real list (the largest has 32,000 lines, 2 MB).
const (
	maxLineBytes = 1 << 20
	maxBytes     = 200 << 20
	maxLines     = 250_000
)

// lineReader gives the lines of a file that may be gzipped.
type lineReader struct {
	name    string
	number  int // of the line last given, from 1
	most    int // lines that it may have
	scanner *bufio.Scanner
}

var gzipMagic = []byte{0x1f, 0x8b}

func newLineReader(r io.Reader, name string) (*lineReader, error) {
	l := &lineReader{name: name, number: 1, most: maxLines} // for errors before the first line
	in := bufio.NewReaderSize(r, 1<<16)
	start, err := in.Peek(len(gzipMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, l.readError(err)
	}
	var text io.Reader = in
	if bytes.Equal(start, gzipMagic) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, l.readError(err)
		}
		text = unzipped
	}
	source := &capped{r: text, left: maxBytes}
	l.scanner = bufio.NewScanner(source)
	l.scanner.Buffer(make([]byte, 0, 1<<16), maxLineBytes)
	l.scanner.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		advance, line, err := bufio.ScanLines(data, atEOF && source.err == nil)
		if atEOF && advance == 0 && err == nil {
			err = source.err // half a line before a fault is no line
		}
		return advance, line, err
	})
	l.number = 0
	return l, nil
}

// next gives the next line without its end, or false at the end of the file.
func (l *lineReader) next() (string, bool, error) {
	if !l.scanner.Scan() {
		if err := l.scanner.Err(); err != nil {
			l.number++
			return "", false, l.readError(err)
		}
		return "", false, nil
	}
	l.number++
	line := l.scanner.Bytes()
	if l.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if l.number > l.most {
		return "", false, l.fail("", fmt.Sprintf("a price list has at most %d lines", l.most), "")
	}
	if !utf8.Valid(line) || bytes.ContainsFunc(line, isControl) {
		return "", false, l.fail("", "this is not text", "a price list is CSV in UTF-8, plain or gzipped")
	}
	return string(line), true, nil
}

func isControl(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }

// fail makes an invalid error at the present line.
func (l *lineReader) fail(column, message, hint string) error {
	return &purser.Error{
		Kind: purser.KindInvalid, Op: "csvfile.Read", Message: message, Hint: hint,
		Place: &purser.Place{File: l.name, Line: l.number, Path: column},
	}
}

var errTooLarge = errors.New("too large")

// readError tells a damaged file from a file that cannot be read.
func (l *lineReader) readError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return l.fail("", "the line is longer than 1 MiB", "is this a price list?")
	case errors.Is(err, errTooLarge):
		return l.fail("", "the list is larger than 200 MiB", "is this a price list?")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return l.fail("", "the gzip file ends too early", "it was not copied whole")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.EOF), errors.As(err, &corrupt):
		return l.fail("", "the gzip file is damaged", "")
	}
	return &purser.Error{
		Kind: purser.KindUnavailable, Op: "csvfile.Read", Message: "the file cannot be read",
		Place: &purser.Place{File: l.name, Line: l.number}, Cause: err,
	}
}

// capped ends with errTooLarge after more than left bytes, so that a small file
// cannot unpack into all of memory.
type capped struct {
	r    io.Reader
	left int
	err  error // what ended it, other than the end
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.left -= n
	if c.left < 0 {
		n, err = 0, errTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
