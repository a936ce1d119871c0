// Package awstest is a small AWS for tests: EC2's query protocol, and the JSON protocols of
// Systems Manager, SQS and Service Quotas, over state that behaves as AWS's does.
//
// It keeps idempotency tokens and their parameters, unique names of launch templates,
// machines that are seen late (Lag) and forgotten an hour after their end, answers of
// capacity with status 500 from RunInstances and inside of a good answer from CreateFleet,
// pages, tags and their filters. It refuses what AWS refuses of what the adapter might send:
// unknown parameters, two ways to say one thing, tags of things that are not made.
//
// One Server serves many clouds, each with an access key of its own. Nothing sleeps: time
// is what Now says.
//
// # Failures
//
// Refuse and Fault make calls fail with the codes and statuses that AWS would use.
package awstest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Server is a listener on loopback for any number of clouds.
type Server struct {
	*httptest.Server

	mu     sync.Mutex
	clouds map[string]*Cloud // by access key
	made   int
}

// NewServer starts to listen.
func NewServer() *Server {
	s := &Server{clouds: map[string]*Cloud{}}
	s.Server = httptest.NewServer(s)
	return s
}

// ServeHTTP finds the cloud and the region in the request's signature.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	part := strings.Split(scope, "/") // key, date, region, service, aws4_request
	if len(part) != 5 {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	s.mu.Lock()
	c := s.clouds[part[0]]
	s.mu.Unlock()
	if c == nil {
		write(w, failure{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}.ec2())
		return
	}
	c.serve(w, r, part[2], part[3])
}

// Cloud is an account. Its knobs may be set before it is used.
type Cloud struct {
	Now      func() time.Time
	Lag      time.Duration // until a new machine is seen
	Boot     time.Duration // from pending to running
	Stop     time.Duration // from shutting-down to terminated
	Remember time.Duration // for which a terminated machine is seen
	Latency  time.Duration // of each call, for benchmarks
	PageSize int           // most that a page holds, whatever is asked for

	// Refuse gives the code with which AWS would refuse a machine there, or "".
	Refuse func(region, zone, instanceType, option string) string
	// Fault gives another answer than the cloud's where its status is not 0. Actions are
	// named as IAM names them.
	Fault func(action, region string) (status int, code, message string)
	// Lacks are calls that this endpoint does not know, as IAM names them.
	Lacks map[string]bool

	Key    string
	server *Server

	mu       sync.Mutex
	regions  map[string]*region
	calls    map[string]int
	quotas   map[string][]Quota // by region
	defaults map[string][]Quota
	queue    []*Message
	received int
	serial   int
}

// region is what a region has.
type region struct {
	machines     []*Machine // in the order in which they were made
	byID         map[string]*Machine
	templates    map[string]*Template // by name
	tokens       map[string]answered
	reservations []*Reservation
	images       map[string]string // by the parameter's name
}

// answered is what a client token was used for.
type answered struct {
	parameters string
	machines   []string
	text       string // the answer, where it is given again as it was
}

// NewCloud makes an account with an access key of its own.
func (s *Server) NewCloud(now func() time.Time) *Cloud {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	c := &Cloud{
		Now: now, Boot: 20 * time.Second, Stop: 10 * time.Second, Remember: time.Hour, PageSize: 1000, server: s,
		Key: fmt.Sprintf("AKIATEST%08d", s.made), regions: map[string]*region{}, calls: map[string]int{},
		quotas: map[string][]Quota{}, defaults: map[string][]Quota{},
	}
	s.clouds[c.Key] = c
	return c
}

// Close forgets the account.
func (c *Cloud) Close() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.clouds, c.Key)
}

// Config is how an SDK reaches the cloud. The transport may be nil.
func (c *Cloud) Config(transport http.RoundTripper) aws.Config {
	cfg := aws.Config{
		Credentials: credentials.NewStaticCredentialsProvider(c.Key, "secret", ""), BaseEndpoint: aws.String(c.server.URL),
	}
	if transport == nil {
		transport = c.server.Client().Transport
	}
	cfg.HTTPClient = &http.Client{Transport: transport}
	return cfg
}

// Calls is how often each call was made, as IAM names them.
func (c *Cloud) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

// in gives a region's things. The caller holds mu.
func (c *Cloud) in(name string) *region {
	if c.regions[name] == nil {
		c.regions[name] = &region{byID: map[string]*Machine{}, templates: map[string]*Template{}, tokens: map[string]answered{}, images: map[string]string{}}
	}
	return c.regions[name]
}

func (c *Cloud) id(prefix string) string {
	c.serial++
	return fmt.Sprintf("%s-%017x", prefix, c.serial)
}

// Machines are all that were ever made, in the order of regions.
func (c *Cloud) Machines() (all []*Machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.regions)) {
		all = append(all, c.regions[name].machines...)
	}
	return all
}

// Live says how many machines of each value of a tag cost money.
func (c *Cloud) Live(tag string) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for _, r := range c.regions {
		for _, m := range r.machines {
			if c.state(m) != stateTerminated {
				out[m.Tags[tag]]++
			}
		}
	}
	return out
}

// Templates are the names of a region's launch templates.
func (c *Cloud) Templates(region string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.in(region).templates))
}

// SetImage says what a parameter of Systems Manager holds.
func (c *Cloud) SetImage(region, parameter, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in(region).images[parameter] = id
}

// failure is an answer that is none.
type failure struct {
	status        int
	code, message string
}

// statusOf is the status that AWS gives a code of its own.
func statusOf(code string) int {
	switch {
	case strings.HasPrefix(code, "Insufficient") && strings.HasSuffix(code, "Capacity"), code == "InternalError":
		return http.StatusInternalServerError
	case code == "Unavailable", code == "RequestLimitExceeded":
		return http.StatusServiceUnavailable
	case code == "UnauthorizedOperation":
		return http.StatusForbidden
	case code == "AuthFailure":
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

func refuse(code, format string, args ...any) *failure {
	return &failure{statusOf(code), code, fmt.Sprintf(format, args...)}
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request, region, service string) {
	action, form := r.Header.Get("X-Amz-Target"), url.Values{}
	if service == "ec2" {
		if err := r.ParseForm(); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		form, action = r.PostForm, r.PostForm.Get("Action")
	}
	action = service + ":" + action[strings.LastIndex(action, ".")+1:]
	if c.Latency > 0 {
		delay(r.Context(), c.Latency)
	}
	c.mu.Lock()
	c.calls[action]++
	c.mu.Unlock()
	if c.Fault != nil {
		if status, code, message := c.Fault(action, region); status != 0 {
			f := failure{status, code, message}
			if service == "ec2" {
				write(w, f.ec2())
			} else {
				write(w, f.json())
			}
			return
		}
	}
	if service != "ec2" {
		c.json(w, r, region, action)
		return
	}
	c.mu.Lock()
	out := c.query(region, action, form)
	c.mu.Unlock()
	write(w, out)
}

// reply is an answer as it goes over the wire.
type reply struct {
	status            int
	contentType, body string
}

func write(w http.ResponseWriter, r reply) {
	w.Header().Set("Content-Type", r.contentType)
	w.WriteHeader(r.status)
	_, _ = w.Write([]byte(r.body)) // to whoever still listens
}
