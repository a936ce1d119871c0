package notice

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Kind says what a notice is about.
type Kind string

// The kinds of notice.
const (
	Preempted   Kind = "preempted"   // the machine will be taken back, or deleted
	Rebalance   Kind = "rebalance"   // it is likelier than usual to be taken back
	Maintenance Kind = "maintenance" // the cloud works on the machine's host
)

// Notice is what the cloud says.
type Notice struct {
	Kind   Kind
	At     time.Time // when it happens; zero if the cloud does not say
	Reason string    // for people
	Leave  bool      // the tasks have to stop now
}

// DefaultURL is where the metadata service of every cloud answers. It is link-local:
// only the machine itself reaches it.
const DefaultURL = "http://169.254.169.254"

// Config is how a machine's notices are watched.
type Config struct {
	URL    string        // of the metadata service. Defaults to DefaultURL.
	Client *http.Client  // Defaults to one that uses no proxy and follows no redirect.
	Lead   time.Duration // how long before maintenance the tasks have to stop. Defaults to 2 min.
	Logger *slog.Logger  // Defaults to none.
	Now    func() time.Time

	pace pace
}

// pace holds the waits; tests shorten them.
type pace struct {
	probe  time.Duration   // for the answer to a probe
	rounds []time.Duration // pauses before each round of probes
	call   time.Duration   // for an answer
	first  time.Duration   // for Azure's first answer: asking switches its events on
	wait   time.Duration   // how long Google Cloud holds a long poll
	aws    time.Duration
	azure  time.Duration
	slow   time.Duration // between calls that fail, at least
	gcp    time.Duration // between long polls, at least
}

// usual are the waits as the clouds' documents give them.
func usual() pace {
	return pace{
		probe: 2 * time.Second, rounds: []time.Duration{0, 2 * time.Second, 8 * time.Second, 20 * time.Second},
		call: 10 * time.Second, first: 150 * time.Second, wait: 5 * time.Minute,
		aws: 5 * time.Second, azure: time.Second, slow: 5 * time.Second, gcp: time.Second,
	}
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	c.URL = strings.TrimRight(c.URL, "/")
	if c.Client == nil {
		c.Client = &http.Client{
			// The service is asked directly: a proxy would tell of its own machine.
			Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: 3, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if c.Lead <= 0 {
		c.Lead = 2 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.pace.rounds == nil {
		c.pace = usual()
	}
	return c
}

// Watch finds out on which cloud the machine is and hands each notice to tell, one at
// a time, until ctx ends. On none of the clouds it returns when it has found that out,
// after half a minute.
func Watch(ctx context.Context, c Config, tell func(Notice)) {
	s := &service{Config: c.withDefaults(), tell: tell, told: map[string]bool{}}
	defer s.Client.CloseIdleConnections()
	found := s.find(ctx)
	if found == nil {
		return
	}
	s.Logger.InfoContext(ctx, "the cloud's notices are watched", slog.String("cloud", found.name()))
	found.watch(ctx)
}

// cloud is a metadata service as one cloud runs it.
type cloud interface {
	name() string
	probe(ctx context.Context) bool // does it answer as this cloud?
	watch(ctx context.Context)      // until ctx ends
}

// service is a metadata service and what was told of it.
type service struct {
	Config
	tell func(Notice)
	mu   sync.Mutex
	told map[string]bool
}

// find probes for every cloud at once, round by round; nil when none answers.
func (s *service) find(ctx context.Context) cloud {
	clouds := []cloud{&gcp{s}, &azure{service: s}, &aws{service: s}}
	for _, wait := range s.pace.rounds {
		if !pause(ctx, wait) {
			return nil
		}
		answers := make([]bool, len(clouds))
		var probes sync.WaitGroup
		for i, c := range clouds {
			probes.Go(func() {
				short, cancel := context.WithTimeout(ctx, s.pace.probe)
				defer cancel()
				answers[i] = c.probe(short)
			})
		}
		probes.Wait()
		for i, yes := range answers {
			if yes {
				return clouds[i]
			}
		}
	}
	return nil
}

// say tells a notice if nothing with its key was told before.
func (s *service) say(key string, n Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told[key] {
		s.told[key] = true
		s.tell(n)
	}
}

// maintain tells of maintenance when it is first heard of, and again when the tasks
// have to stop for it. stops says that the machine will not run through it, begun that
// it may begin at any moment.
func (s *service) maintain(key string, n Notice, stops, begun bool) {
	n.Kind = Maintenance
	s.say(key, n)
	if stops && (begun || !n.At.IsZero() && n.At.Sub(s.Now()) <= s.Lead) {
		n.Leave = true
		s.say(key+" now", n)
	}
}

// every looks until ctx ends, and logs when looking begins to fail and when it works
// again.
func (s *service) every(ctx context.Context, gap time.Duration, look func(context.Context) error) {
	failing := false
	for {
		err := look(ctx)
		wait := gap
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = max(gap, s.pace.slow)
			if !failing {
				s.Logger.WarnContext(ctx, "the metadata service cannot be read and is asked again", slog.Any("cause", err))
			}
		case failing:
			s.Logger.InfoContext(ctx, "the metadata service can be read again")
		}
		failing = err != nil
		if !pause(ctx, wait) {
			return
		}
	}
}

// pause waits; false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
