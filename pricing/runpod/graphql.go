package runpod

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"purser"
)

const keyFix = "make an API key in RunPod's settings, with read access to GraphQL, and give it to the source as its key, or give none: prices are public"

// ask sends a query and decodes its data. An answer with errors is a fault, whatever
// data it has beside them.
func (c *collector) ask(ctx context.Context, query string, variables map[string]any, data any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return purser.Wrap(purser.KindInternal, op, err)
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []graphError    `json:"errors"`
	}
	err = c.opt.Client.JSON(ctx, op, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.opt.URL, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		if c.opt.Key != "" {
			req.Header.Set("Authorization", "Bearer "+c.opt.Key)
		}
		return req, nil
	}, &answer)
	switch kind := purser.KindOf(err); {
	case err != nil && (kind == purser.KindUnauthorized || kind == purser.KindForbidden):
		return &purser.Error{Kind: kind, Op: op, Message: "RunPod refuses the query", Hint: keyFix, Cause: err}
	case err != nil:
		return err
	case len(answer.Errors) > 0:
		return answer.Errors[0].fault()
	case len(answer.Data) == 0 || string(answer.Data) == "null":
		return purser.Errorf(purser.KindInvalid, op, "RunPod answers without data")
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		return purser.Errorf(purser.KindInvalid, op, "RunPod's data does not have the form that is expected: %w", err)
	}
	return nil
}

// graphError is an error as GraphQL says it.
type graphError struct {
	Message    string `json:"message"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

func (g graphError) fault() error {
	said := g.Message
	if len(said) > 200 {
		said = strings.ToValidUTF8(said[:200], "") + "…"
	}
	e := purser.Errorf(purser.KindInvalid, op, "RunPod says %s %q", g.Extensions.Code, said)
	switch code := strings.ToUpper(g.Extensions.Code); {
	case code == "UNAUTHENTICATED":
		e.Kind, e.Hint = purser.KindUnauthorized, keyFix
	case code == "FORBIDDEN":
		e.Kind, e.Hint = purser.KindForbidden, keyFix
	case strings.Contains(code, "RATE_LIMIT") || code == "TOO_MANY_REQUESTS":
		e.Kind = purser.KindThrottled
	case code == "INTERNAL_SERVER_ERROR":
		e.Kind = purser.KindUnavailable
	}
	return e
}
