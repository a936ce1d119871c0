package notice

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"purser"
)

// gcp is Google Cloud's metadata server.
type gcp struct{ *service }

const (
	flavor = "Metadata-Flavor"
	google = "Google"
)

func (gcp) name() string { return "gcp" }

func (g *gcp) probe(ctx context.Context) bool {
	got, err := g.ask(ctx, g.pace.probe, http.MethodGet, "/", flavor, google)
	return err == nil && got.status == http.StatusOK && got.header.Get(flavor) == google
}

func (g *gcp) watch(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { g.follow(ctx, "preempted", g.preempted) })
	both.Go(func() { g.follow(ctx, "maintenance-event", g.maintenance) })
	both.Wait()
}

func (g *gcp) preempted(value string) {
	if strings.EqualFold(value, "TRUE") {
		g.say("preempted", Notice{Kind: Preempted, Reason: "Google Cloud preempts the machine", Leave: true})
	}
}

// maintenance hears of a migration, which the machine runs through, or of an end. The
// latter comes up to an hour ahead without a time.
func (g *gcp) maintenance(value string) {
	if value == "" || value == "NONE" {
		return
	}
	g.maintain("maintenance "+value, Notice{Reason: "Google Cloud maintains the machine's host: " + words(value)}, strings.HasPrefix(value, "TERMINATE"), true)
}

// follow reads a value of the instance, then waits for it to change, by its ETag, so
// that no change is missed between two calls.
func (g *gcp) follow(ctx context.Context, name string, hear func(string)) {
	path, tag := "/computeMetadata/v1/instance/"+name, ""
	g.every(ctx, g.pace.gcp, func(ctx context.Context) error {
		query, limit := "", g.pace.call
		if tag != "" {
			limit += g.pace.wait
			query = "?" + url.Values{
				"wait_for_change": {"true"}, "timeout_sec": {strconv.Itoa(max(1, int(g.pace.wait/time.Second)))}, "last_etag": {tag},
			}.Encode()
		}
		got, err := g.ask(ctx, limit, http.MethodGet, path+query, flavor, google)
		switch {
		case err != nil:
			return err
		case got.status != http.StatusOK:
			tag = ""
			return unexpected(path, got)
		case got.header.Get(flavor) != google:
			tag = ""
			return purser.Errorf(purser.KindUnavailable, "notice", "%s is answered by something else", path)
		}
		tag = got.header.Get("ETag")
		hear(got.body)
		return nil
	})
}
