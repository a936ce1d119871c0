package awstest

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// The states of a machine.
const (
	statePending      = "pending"
	stateRunning      = "running"
	stateShuttingDown = "shutting-down"
	stateStopped      = "stopped"
	stateTerminated   = "terminated"
)

// Machine is an instance.
type Machine struct {
	ID, Type, Zone, Option string // Option is "", spot or capacity-block
	Tags                   map[string]string
	Made                   time.Time
	Settings               url.Values // what it was started with, template and call together
	Reservation            string
	StateCode              string    // why it ends
	Token                  string    // client token
	Ending                 time.Time // since when its end is asked for; zero: it is not
	Stopped                bool
}

// state is the machine's state now.
func (c *Cloud) state(m *Machine) string {
	now := c.Now()
	switch {
	case !m.Ending.IsZero() && !now.Before(m.Ending.Add(c.Stop)):
		return stateTerminated
	case !m.Ending.IsZero():
		return stateShuttingDown
	case m.Stopped:
		return stateStopped
	case now.Before(m.Made.Add(c.Boot)):
		return statePending
	}
	return stateRunning
}

// seen says whether calls see the machine already, or still.
func (c *Cloud) seen(m *Machine) bool {
	now := c.Now()
	return !now.Before(m.Made.Add(c.Lag)) && (m.Ending.IsZero() || now.Before(m.Ending.Add(c.Stop+c.Remember)))
}

// End ends a machine from outside: the cloud takes it back, or it powers itself off.
func (c *Cloud) End(id, stateCode string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.regions {
		if m := r.byID[id]; m != nil && m.Ending.IsZero() {
			m.Ending, m.StateCode = c.Now(), stateCode
			c.freed(r, m)
		}
	}
}

// Halt stops a machine without ending it.
func (c *Cloud) Halt(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.regions {
		if m := r.byID[id]; m != nil {
			m.Stopped = true
		}
	}
}

// Add makes a machine as if somebody had launched it long ago.
func (c *Cloud) Add(region string, m Machine) *Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.ID = c.id("i")
	c.in(region).add(&m)
	return &m
}

func (r *region) add(m *Machine) {
	r.machines = append(r.machines, m)
	r.byID[m.ID] = m
}

// cpus is the number of vCPUs of a size, near enough.
func cpus(instanceType string) int {
	_, size, _ := strings.Cut(instanceType, ".")
	if n, err := strconv.Atoi(strings.TrimSuffix(size, "xlarge")); err == nil {
		return 4 * n
	}
	return map[string]int{"xlarge": 4, "large": 2}[size]
}

func (c *Cloud) xml(region string, m *Machine) string {
	state := c.state(m)
	code := map[string]string{statePending: "0", stateRunning: "16", stateShuttingDown: "32", stateTerminated: "48", stateStopped: "80"}[state]
	out := text("instanceId", m.ID) + text("instanceType", m.Type) + stamp("launchTime", m.Made) +
		element("instanceState", text("code", code), text("name", state)) +
		element("placement", text("availabilityZone", region+"a"), text("availabilityZoneId", m.Zone)) +
		element("cpuOptions", text("coreCount", itoa(cpus(m.Type)/2)), text("threadsPerCore", "2")) +
		text("instanceLifecycle", m.Option) + text("clientToken", m.Token) + text("capacityReservationId", m.Reservation) + tagSet(m.Tags)
	if m.StateCode != "" {
		out += element("stateReason", text("code", m.StateCode), text("message", m.StateCode+": for a test"))
	}
	return element("item", out)
}

func (c *Cloud) describeInstances(r *site, form url.Values) (string, *failure) {
	by, ids := filters(form), list(form, "InstanceId")
	for _, id := range ids {
		if m := r.byID[id]; m == nil || !c.seen(m) {
			return "", refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
	}
	if len(ids) > 0 && form.Has("MaxResults") {
		return "", refuse("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	var found []*Machine
	for _, m := range r.machines {
		states := by["instance-state-name"]
		if c.seen(m) && (len(ids) == 0 || slices.Contains(ids, m.ID)) && passes(m.Tags, by) && (states == nil || slices.Contains(states, c.state(m))) {
			found = append(found, m)
		}
	}
	some, next, fail := page(c, found, form)
	if fail != nil {
		return "", fail
	}
	var b strings.Builder
	for _, m := range some {
		b.WriteString(element("item", text("reservationId", "r-"+m.ID), element("instancesSet", c.xml(r.name, m))))
	}
	return element("reservationSet", b.String()) + next, nil
}

func (c *Cloud) terminateInstances(r *site, form url.Values) (string, *failure) {
	var b strings.Builder
	for _, id := range list(form, "InstanceId") {
		m := r.byID[id]
		if m == nil || !c.seen(m) {
			return "", refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
		if m.Ending.IsZero() {
			m.Ending, m.StateCode = c.Now(), "Client.UserInitiatedShutdown"
			c.freed(r.region, m)
		}
		b.WriteString(element("item", text("instanceId", id)))
	}
	return element("instancesSet", b.String()), nil
}

// wanted is one machine that is asked for: its settings and where it may be.
type wanted struct {
	settings           url.Values
	region, zone, kind string
	option             string
}

// runInstances checks what AWS checks, and makes one machine.
func (c *Cloud) runInstances(r *site, form url.Values) (string, *failure) {
	token := form.Get("ClientToken")
	if len(token) > 64 {
		return "", refuse("InvalidParameterValue", "The client token is too long")
	}
	if done, ok := r.tokens["run "+token]; ok && token != "" {
		if done.parameters != canonical(form) {
			return "", refuse("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
		}
		if len(done.machines) > 0 {
			m := r.byID[done.machines[0]]
			if c.state(m) == stateTerminated {
				return "", refuse("IdempotentInstanceTerminated", "The instance of this token has been terminated")
			}
			return element("instancesSet", c.xml(r.name, m)) + text("reservationId", "r-"+m.ID), nil
		}
	}
	// A token is bound to its parameters whatever becomes of the request.
	r.tokens["run "+token] = answered{parameters: canonical(form)}
	if form.Get("MinCount") != "1" || form.Get("MaxCount") != "1" {
		return "", refuse("InvalidParameterValue", "a lease has one machine")
	}
	settings := url.Values{}
	if has(form, "LaunchTemplate") {
		t, fail := r.find(form.Get("LaunchTemplate.LaunchTemplateName"), form.Get("LaunchTemplate.LaunchTemplateId"))
		if fail != nil {
			return "", fail
		}
		settings = t.Data
	}
	w := wanted{settings: merge(settings, form), region: r.name, kind: form.Get("InstanceType"), option: form.Get("InstanceMarketOptions.MarketType")}
	w.zone = cmpOr(form.Get("Placement.AvailabilityZoneId"), form.Get("Placement.AvailabilityZone"), zoneOfSubnet(form.Get("NetworkInterface.1.SubnetId")))
	m, fail := c.make(r, w)
	if fail != nil {
		return "", fail
	}
	m.Token = token
	r.tokens["run "+token] = answered{parameters: canonical(form), machines: []string{m.ID}}
	return element("instancesSet", c.xml(r.name, m)) + text("reservationId", "r-"+m.ID), nil
}

// merge lets the parameters of a call replace those of a template, whole.
func merge(template, call url.Values) url.Values {
	out := url.Values{}
	for key, v := range template {
		if top, _, _ := strings.Cut(key, "."); !has(call, top) {
			out[key] = v
		}
	}
	for key, v := range call {
		out[key] = v
	}
	return out
}

// zoneOfSubnet reads the zone out of the names of a test's subnets: subnet-use1-az1.
func zoneOfSubnet(id string) string { return strings.TrimPrefix(id, "subnet-") }

func cmpOr(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (c *Cloud) make(r *site, w wanted) (*Machine, *failure) {
	s := w.settings
	image := s.Get("ImageId")
	script, err := base64.StdEncoding.DecodeString(s.Get("UserData"))
	switch {
	case w.kind == "" || !strings.Contains(w.kind, "."):
		return nil, refuse("InvalidParameterValue", "Invalid value '%s' for InstanceType.", w.kind)
	case !strings.HasPrefix(image, "ami-"):
		return nil, refuse("InvalidAMIID.Malformed", "Invalid id: %q", image)
	case err != nil:
		return nil, refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	case len(script) > 16<<10:
		return nil, refuse("InvalidParameterValue", "User data is limited to 16384 bytes")
	case s.Has("Placement.AvailabilityZone") && s.Has("Placement.AvailabilityZoneId"):
		return nil, refuse("InvalidParameterCombination", "Both AvailabilityZone and AvailabilityZoneId")
	case w.option != "spot" && len(tagsFor(s, "", "spot-instances-request")) > 0:
		return nil, refuse("InvalidParameterValue", "You cannot specify tags for Spot instances requests if there are no Spot instances requests being created by the request.")
	}
	if c.Refuse != nil {
		option := cmpOr(w.option, "on_demand")
		if code := c.Refuse(r.name, w.zone, w.kind, option); code != "" {
			return nil, refuse(code, "We currently do not have what you asked for: %s in %s", w.kind, w.zone)
		}
	}
	reservation := s.Get("CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId")
	if fail := c.take(r, reservation, w); fail != nil {
		return nil, fail
	}
	m := &Machine{
		ID: c.id("i"), Type: w.kind, Zone: cmpOr(w.zone, "use1-az1"), Tags: tagsFor(s, "", "instance"), Made: c.Now(), Settings: s, Reservation: reservation,
	}
	if w.option == "spot" || w.option == "capacity-block" {
		m.Option = w.option
	}
	r.add(m)
	return m, nil
}

// createFleet answers for an instant fleet of one machine: what each place refused stands
// in the answer, which is a good one.
func (c *Cloud) createFleet(r *site, form url.Values) (string, *failure) {
	const config = "LaunchTemplateConfigs.1."
	token := form.Get("ClientToken")
	if done, ok := r.tokens["fleet "+token]; ok && token != "" {
		if done.parameters != canonical(form) {
			return "", refuse("IdempotentParameterMismatch", "the client token was used with other parameters")
		}
		return done.text, nil
	}
	if form.Get("Type") != "instant" || form.Get("TargetCapacitySpecification.TotalTargetCapacity") != "1" {
		return "", refuse("InvalidParameterValue", "only instant fleets of one machine are known here")
	}
	t, fail := r.find(form.Get(config+"LaunchTemplateSpecification.LaunchTemplateName"), "")
	if fail != nil {
		return "", fail
	}
	if has(t.Data, "InstanceMarketOptions") || has(t.Data, "CapacityReservationSpecification") {
		return "", refuse("InvalidParameterValue", "Incompatible launch template")
	}
	spot := form.Get("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot"
	if spot != has(form, "SpotOptions") {
		return "", refuse("InvalidParameterCombination", "SpotOptions belong to spot")
	}
	lifecycle := "on-demand"
	if spot {
		lifecycle = "spot"
	}
	var machines, faults string
	var ids []string
	for i := 1; has(form, config+"Overrides."+itoa(i)); i++ {
		at := config + "Overrides." + itoa(i) + "."
		w := wanted{settings: merge(t.Data, nil), region: r.name, kind: form.Get(at + "InstanceType")}
		w.zone = cmpOr(form.Get(at+"AvailabilityZoneId"), form.Get(at+"AvailabilityZone"), zoneOfSubnet(form.Get(at+"SubnetId")))
		if spot {
			w.option = "spot"
		}
		override := element("launchTemplateAndOverrides", element("overrides", text("instanceType", w.kind), text("availabilityZoneId", form.Get(at+"AvailabilityZoneId")), text("subnetId", form.Get(at+"SubnetId"))))
		m, fail := c.make(r, w)
		if fail != nil {
			// In no order that one could rely on.
			faults = element("item", text("errorCode", fail.code), text("errorMessage", fail.message), text("lifecycle", lifecycle), override) + faults
			continue
		}
		m.Token, ids = token, []string{m.ID}
		machines = element("item", element("instanceIds", text("item", m.ID)), text("instanceType", m.Type), text("availabilityZoneId", m.Zone), text("lifecycle", lifecycle), override)
		break
	}
	out := text("fleetId", fmt.Sprintf("fleet-%d", c.serial)) + element("errorSet", faults) + element("fleetInstanceSet", machines)
	r.tokens["fleet "+token] = answered{parameters: canonical(form), machines: ids, text: out}
	return out, nil
}
