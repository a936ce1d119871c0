package notice

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"time"

	"purser"
)

// aws is the instance metadata service, version 2.
type aws struct {
	*service
	token string
	until time.Time // when another token is asked for
}

// tokenLife is what tokens are asked for: the longest there is. They are renewed at half
// of it.
const tokenLife = 6 * time.Hour

// tokenForm tells a token from the page of somebody else's service.
var tokenForm = regexp.MustCompile(`^[A-Za-z0-9+/=_-]{8,512}$`)

func (*aws) name() string { return "aws" }

func (a *aws) probe(ctx context.Context) bool { return a.renew(ctx) == nil }

func (a *aws) renew(ctx context.Context) error {
	const path = "/latest/api/token"
	got, err := a.ask(ctx, a.pace.call, http.MethodPut, path, "X-aws-ec2-metadata-token-ttl-seconds", "21600")
	switch {
	case err != nil:
		return err
	case got.status != http.StatusOK || !tokenForm.MatchString(got.body):
		return unexpected(path, got)
	}
	a.token, a.until = got.body, a.Now().Add(tokenLife/2)
	return nil
}

func (a *aws) watch(ctx context.Context) {
	a.every(ctx, a.pace.aws, func(ctx context.Context) error {
		return errors.Join(a.interruption(ctx), a.rebalance(ctx), a.scheduled(ctx))
	})
}

// read gets a path of the metadata; there is false where nothing stands.
func (a *aws) read(ctx context.Context, path string, into any) (there bool, err error) {
	path = "/latest/meta-data/" + path
	for range 2 {
		if a.token == "" || !a.Now().Before(a.until) {
			if err := a.renew(ctx); err != nil {
				return false, err
			}
		}
		got, err := a.ask(ctx, a.pace.call, http.MethodGet, path, "X-aws-ec2-metadata-token", a.token)
		switch {
		case err != nil:
			return false, err
		case got.status == http.StatusNotFound:
			return false, nil
		case got.status == http.StatusUnauthorized:
			a.token = "" // it ended before its time, as after a migration
		case got.status != http.StatusOK:
			return false, unexpected(path, got)
		default:
			if err := json.Unmarshal([]byte(got.body), into); err != nil {
				return false, purser.Errorf(purser.KindUnavailable, "notice", "%s is not JSON: %w", path, err)
			}
			return true, nil
		}
	}
	return false, purser.Errorf(purser.KindUnauthorized, "notice", "%s refuses a new token", path)
}

func (a *aws) interruption(ctx context.Context) error {
	var said struct {
		Action string `json:"action"` // terminate, stop or hibernate
		Time   string `json:"time"`
	}
	there, err := a.read(ctx, "spot/instance-action", &said)
	if !there || said.Action == "" {
		return err
	}
	at, _ := time.Parse(time.RFC3339, said.Time) // unreadable: not said
	reason := "AWS will " + words(said.Action) + " the spot machine"
	if !at.IsZero() {
		reason += " at " + at.UTC().Format(time.RFC3339)
	}
	a.say("preempted", Notice{Kind: Preempted, At: at, Reason: reason, Leave: true})
	return nil
}

func (a *aws) rebalance(ctx context.Context) error {
	var said struct {
		NoticeTime string `json:"noticeTime"`
	}
	there, err := a.read(ctx, "events/recommendations/rebalance", &said)
	if !there || said.NoticeTime == "" {
		return err
	}
	at, _ := time.Parse(time.RFC3339, said.NoticeTime)
	a.say("rebalance "+said.NoticeTime, Notice{Kind: Rebalance, At: at, Reason: "AWS expects to need the spot machine back"})
	return nil
}

// scheduled reads the maintenance that is due. Every kind of it can stop the machine:
// retirement and stop for good, reboots and work on the host's power for minutes, which
// ends the tasks just as well.
func (a *aws) scheduled(ctx context.Context) error {
	var events []struct {
		ID          string `json:"EventId"`
		Code        string `json:"Code"`
		State       string `json:"State"` // active, completed or canceled
		Description string `json:"Description"`
		NotBefore   string `json:"NotBefore"` // 21 Jan 2019 09:00:43 GMT
	}
	if there, err := a.read(ctx, "events/maintenance/scheduled", &events); !there {
		return err
	}
	for _, e := range events {
		if e.State != "active" || e.Code == "" {
			continue
		}
		at, _ := time.Parse("2 Jan 2006 15:04:05 MST", e.NotBefore)
		a.maintain("maintenance "+e.ID+e.NotBefore, Notice{At: at, Reason: "AWS plans " + words(e.Code+": "+e.Description)}, true, false)
	}
	return nil
}
