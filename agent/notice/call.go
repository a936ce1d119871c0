package notice

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"purser"
)

// maxAnswer bounds what is read of an answer; real ones have some hundred bytes.
const maxAnswer = 64 << 10

// answer is what the service said. Anything but 200 has no body.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes one call; the error says that there was no answer.
func (s *service) ask(ctx context.Context, limit time.Duration, method, path string, header ...string) (answer, error) {
	const op = "notice.ask"
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, nil)
	if err != nil {
		return answer{}, purser.Wrap(purser.KindInvalid, op, err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return answer{}, purser.Wrap(purser.KindUnavailable, op, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, purser.Wrap(purser.KindUnavailable, op, err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.status == http.StatusOK {
		a.body = strings.TrimSpace(string(body))
	}
	return a, nil
}

// unexpected is the error of an answer that is not what was asked for.
func unexpected(path string, a answer) error {
	return purser.Errorf(purser.KindUnavailable, "notice", "%s answers with status %d", path, a.status)
}

// maxReason bounds what the cloud's own words take of a reason, in characters.
const maxReason = 300

// words makes a text of the cloud fit for a line of a log.
func words(text string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.Join(strings.Fields(text), " ") {
		if n++; n > maxReason {
			return b.String() + "…"
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}
