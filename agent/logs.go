package agent

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"purser"
	"purser/api"
)

const (
	maxLine      = 16 << 10 // bytes; a longer line is cut into several
	lineOverhead = 64       // bytes that a line costs beside its text
	batchLines   = 2000     // of one task in one report
	batchBytes   = 512 << 10
)

// taskLog holds the lines of one task that the server does not have yet. Lines get
// their numbers when they are first sent, so numbers have no gaps even where lines
// were dropped; a batch that was sent is sent again, alike, until it is acknowledged.
type taskLog struct {
	task  purser.TaskID
	limit int // bytes of waiting lines
	now   func() time.Time

	mu      sync.Mutex
	waiting []api.LogLine // without numbers
	bytes   int           // of waiting
	dropped int           // lines dropped before waiting[0]
	sent    []api.LogLine // numbered, not acknowledged
	next    int64         // number of the next line
}

func newTaskLog(task purser.TaskID, limit int, now func() time.Time) *taskLog {
	return &taskLog{task: task, limit: limit, now: now, next: 1}
}

// add takes a line. When there is no room the oldest waiting lines go.
func (l *taskLog) add(stream, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := api.LogLine{Task: l.task, At: l.now().UTC(), Stream: stream, Text: clean(text)}
	l.waiting = append(l.waiting, line)
	l.bytes += len(line.Text) + lineOverhead
	drop := 0
	for l.bytes > l.limit && drop < len(l.waiting)-1 {
		l.bytes -= len(l.waiting[drop].Text) + lineOverhead
		drop++
	}
	l.waiting = l.waiting[drop:]
	l.dropped += drop
}

// clean makes a line one that any store can hold: valid UTF-8 without zero bytes.
// Of a line that was drawn over with carriage returns the last drawing is kept.
func clean(s string) string {
	s = strings.TrimRight(s, "\r")
	if i := strings.LastIndexByte(s, '\r'); i >= 0 {
		s = s[i+1:]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// batch gives the lines to send now, and whether more are waiting behind them.
func (l *taskLog) batch() (lines []api.LogLine, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sent) == 0 {
		l.fill()
	}
	return l.sent, len(l.waiting) > 0 || l.dropped > 0
}

// fill numbers the next batch.
func (l *taskLog) fill() {
	number := func(line api.LogLine) {
		line.Seq = l.next
		l.next++
		l.sent = append(l.sent, line)
	}
	if l.dropped > 0 {
		number(api.LogLine{
			Task: l.task, At: l.now().UTC(), Stream: "agent",
			Text: fmt.Sprintf("… %d lines dropped: the task printed more than could be sent", l.dropped),
		})
		l.dropped = 0
	}
	size, n := 0, 0
	for n < len(l.waiting) && n < batchLines && (n == 0 || size+len(l.waiting[n].Text) <= batchBytes) {
		size += len(l.waiting[n].Text)
		l.bytes -= len(l.waiting[n].Text) + lineOverhead
		number(l.waiting[n])
		n++
	}
	l.waiting = l.waiting[n:]
}

// acknowledged says that the server has the lines up to seq.
func (l *taskLog) acknowledged(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.sent) > 0 && l.sent[0].Seq <= seq {
		l.sent = l.sent[1:]
	}
}

// capture reads a stream into the log, line by line, until it ends. What follows
// the last newline is a line of its own.
func (l *taskLog) capture(stream string, r io.Reader) {
	buf := make([]byte, 0, maxLine)
	chunk := make([]byte, 32<<10)
	for {
		n, err := r.Read(chunk)
		rest := chunk[:n]
		for len(rest) > 0 {
			if i := bytes.IndexByte(rest, '\n'); i >= 0 && len(buf)+i <= maxLine {
				l.add(stream, string(append(buf, rest[:i]...)))
				buf, rest = buf[:0], rest[i+1:]
				continue
			}
			take := min(maxLine-len(buf), len(rest))
			buf, rest = append(buf, rest[:take]...), rest[take:]
			if len(buf) == maxLine && len(rest) > 0 {
				l.add(stream, string(buf))
				buf = buf[:0]
			}
		}
		if err != nil {
			if len(buf) > 0 {
				l.add(stream, string(buf))
			}
			return
		}
	}
}
