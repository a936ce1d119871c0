package postgres

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// idDigits sort like the numbers they stand for, and leave out letters that are
// easily misread.
const idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID makes an id of the form prefix-… whose 20 characters sort by time, to the
// millisecond: 45 bits of time, 55 random bits. It fits the names of machines at
// every provider (lower case, letters, digits and one hyphen).
func NewID(prefix string, now time.Time) string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	ms, low := uint64(now.UnixMilli()), binary.BigEndian.Uint64(random[:])
	var b [20]byte
	for i := 8; i >= 0; i-- {
		b[i] = idDigits[ms&31]
		ms >>= 5
	}
	for i := 19; i >= 9; i-- {
		b[i] = idDigits[low&31]
		low >>= 5
	}
	return prefix + "-" + string(b[:])
}

// utc is t as the database keeps it.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// nullTime writes the zero time as null.
func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = utc(t)
	return &t
}

// optional reads a null as the zero time.
type optional struct{ to *time.Time }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (o optional) ScanTimestamptz(v pgtype.Timestamptz) error {
	*o.to = time.Time{}
	if v.Valid {
		*o.to = v.Time.UTC()
	}
	return nil
}

// nullText writes the empty text as null.
func nullText[S ~string](s S) *string {
	if s == "" {
		return nil
	}
	t := string(s)
	return &t
}

// clean makes text from outside storable: Postgres takes no NUL and no broken UTF-8.
// Longer texts are cut at limit bytes.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\ufffd")
	}
	return s
}

// Limits on texts from outside, in bytes.
const (
	maxReason = 2000
	maxPath   = 4096
	maxLine   = 64 << 10
)

// share makes a number from outside a progress of 0 to 1.
func share(f float64) float64 {
	if math.IsNaN(f) || f < 0 {
		return 0
	}
	return min(f, 1)
}

// toJSON encodes v for a jsonb column, which takes no NUL.
func toJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b, []byte(`\u0000`), []byte(`\ufffd`)), nil
}

// fromJSON reads a jsonb column into the value it points to.
type fromJSON struct{ to any }

// ScanBytes implements pgtype.BytesScanner.
func (j fromJSON) ScanBytes(b []byte) error {
	if b == nil {
		return nil
	}
	return json.Unmarshal(b, j.to)
}

// texts makes a []string of a slice of any kind of text, for array arguments.
func texts[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}

// limit is an argument of "limit": null is no limit.
func limit(n int) *int {
	if n <= 0 {
		return nil
	}
	return &n
}
