package azure_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"purser"
)

// machine is a virtual machine of the test's cloud.
type machine struct {
	name   string
	body   vmBody
	number string // vmId
	made   time.Time
	runs   time.Time // when it is up
	goes   time.Time // when its deletion is done; zero: it is not being deleted

	power         string // PowerState; empty until it is up
	code, message string // of a creation that failed
	failsAt       time.Time
}

// vmBody is what may be put. Anything else is refused.
type vmBody struct {
	Location   string            `json:"location"`
	Zones      []string          `json:"zones,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties vmProperties      `json:"properties"`
}

type vmProperties struct {
	HardwareProfile struct {
		VMSize string `json:"vmSize"`
	} `json:"hardwareProfile"`
	Priority       string `json:"priority,omitempty"`
	EvictionPolicy string `json:"evictionPolicy,omitempty"`
	BillingProfile *struct {
		MaxPrice float64 `json:"maxPrice"`
	} `json:"billingProfile,omitempty"`
	CapacityReservation *struct {
		Group struct {
			ID string `json:"id"`
		} `json:"capacityReservationGroup"`
	} `json:"capacityReservation,omitempty"`
	StorageProfile struct {
		ImageReference map[string]string `json:"imageReference"`
		OSDisk         struct {
			Name         string            `json:"name"`
			CreateOption string            `json:"createOption"`
			DeleteOption string            `json:"deleteOption"`
			Caching      string            `json:"caching"`
			DiskSizeGB   int               `json:"diskSizeGB"`
			ManagedDisk  map[string]string `json:"managedDisk"`
		} `json:"osDisk"`
	} `json:"storageProfile"`
	OSProfile struct {
		ComputerName             string `json:"computerName"`
		AdminUsername            string `json:"adminUsername"`
		CustomData               string `json:"customData,omitempty"`
		AllowExtensionOperations bool   `json:"allowExtensionOperations"`
		LinuxConfiguration       struct {
			DisablePasswordAuthentication bool `json:"disablePasswordAuthentication"`
			SSH                           struct {
				PublicKeys []struct {
					Path    string `json:"path"`
					KeyData string `json:"keyData"`
				} `json:"publicKeys"`
			} `json:"ssh"`
		} `json:"linuxConfiguration"`
	} `json:"osProfile"`
	NetworkProfile struct {
		NetworkInterfaces []struct {
			ID         string `json:"id"`
			Properties struct {
				Primary      bool   `json:"primary"`
				DeleteOption string `json:"deleteOption"`
			} `json:"properties"`
		} `json:"networkInterfaces"`
	} `json:"networkProfile"`
	SecurityProfile *struct {
		EncryptionAtHost bool            `json:"encryptionAtHost,omitempty"`
		SecurityType     string          `json:"securityType,omitempty"`
		UefiSettings     map[string]bool `json:"uefiSettings,omitempty"`
	} `json:"securityProfile,omitempty"`
}

func (c *fakeCloud) id(kind, name string) string {
	return "/subscriptions/" + c.sub + "/resourceGroups/" + strings.ToUpper(group) + "/providers/" + kind + "/" + name
}

// settle lets what is due happen.
func (c *fakeCloud) settle() {
	for name, m := range c.vms {
		switch {
		case !m.goes.IsZero() && !m.goes.After(c.now):
			delete(c.vms, name)
			c.release(m)
		case m.power == "" && m.code == "" && !m.runs.After(c.now):
			m.power = "running"
		}
	}
}

// release lets go of what a machine held: what is marked so goes with it.
func (c *fakeCloud) release(m *machine) {
	for _, n := range m.body.Properties.NetworkProfile.NetworkInterfaces {
		name := n.ID[strings.LastIndex(n.ID, "/")+1:]
		if c.cards[name] == nil {
			continue
		}
		if c.cards[name].machine = ""; n.Properties.DeleteOption == "Delete" {
			delete(c.cards, name)
		}
	}
	if d := c.disks[m.body.Properties.StorageProfile.OSDisk.Name]; d != nil {
		if d.machine = ""; m.body.Properties.StorageProfile.OSDisk.DeleteOption == "Delete" {
			delete(c.disks, m.body.Properties.StorageProfile.OSDisk.Name)
		}
	}
}

// evict takes a spot machine back.
func (c *fakeCloud) evict(name string) {
	c.locked(func() {
		m := c.vms[name]
		delete(c.vms, name)
		c.release(m)
	})
}

func (m *machine) failed(now time.Time) bool { return m.code != "" && !m.failsAt.After(now) }

func (m *machine) state(now time.Time) string {
	switch {
	case !m.goes.IsZero():
		return "Deleting"
	case m.failed(now):
		return "Failed"
	case m.runs.After(now) || m.code != "":
		return "Creating"
	}
	return "Succeeded"
}

func (c *fakeCloud) statuses(m *machine) []object {
	state := m.state(c.now)
	code := "ProvisioningState/" + strings.ToLower(state)
	out := []object{{"code": code, "level": "Info"}}
	if state == "Failed" {
		out[0] = object{"code": code + "/" + m.code, "level": "Error", "message": m.message}
	}
	if m.power != "" {
		out = append(out, object{"code": "PowerState/" + m.power, "level": "Info"})
	}
	return out
}

// view is the machine without its power, as listings have it. Secrets are not given back.
func (c *fakeCloud) view(m *machine) object {
	body := m.body.Properties
	body.OSProfile.CustomData = ""
	text, _ := json.Marshal(body) // of a struct of plain fields
	props := object{}
	_ = json.Unmarshal(text, &props)
	props["vmId"], props["provisioningState"], props["timeCreated"] = m.number, m.state(c.now), m.made.Format(time.RFC3339Nano)
	return object{
		"id": c.id("Microsoft.Compute/virtualMachines", m.name), "name": m.name, "type": "Microsoft.Compute/virtualMachines",
		"location": m.body.Location, "zones": m.body.Zones, "tags": m.body.Tags, "properties": props,
	}
}

func (c *fakeCloud) shown(m *machine) bool { return m != nil && c.now.Sub(m.made) >= c.lag }

func (c *fakeCloud) putMachine(w http.ResponseWriter, r *http.Request, name, _ string) {
	var body vmBody
	read := json.NewDecoder(r.Body)
	read.DisallowUnknownFields()
	if err := read.Decode(&body); err != nil {
		refuse(w, &refusal{status: 400, code: "InvalidRequestContent", message: err.Error()})
		return
	}
	if old := c.vms[name]; old != nil {
		c.putAgain(w, r, old, &body)
		return
	}
	if no := c.unfit(name, &body); no != nil {
		refuse(w, no)
		return
	}
	var late *refusal
	if c.full != nil {
		if late = c.full(&body); late != nil && late.status != 0 {
			refuse(w, late)
			return
		}
	}
	c.numbers++
	m := &machine{name: name, body: body, number: fmt.Sprintf("vm-%d", c.numbers), made: c.now, runs: c.now.Add(c.createFor)}
	if late != nil {
		m.code, m.message, m.failsAt = late.code, late.message, c.now.Add(time.Duration(late.after)*time.Second)
	}
	c.vms[name] = m
	c.made[purser.LeaseID(body.Tags["purser-lease"])]++
	c.cards[name+"-nic"].machine = name
	c.disks[body.Properties.StorageProfile.OSDisk.Name] = &disk{machine: name, made: c.now}
	operation := fmt.Sprintf("op-%d", c.numbers)
	c.operations[operation] = m
	c.follow(w, r, "Microsoft.Compute", body.Location, operation, "2026-04-01")
	answer(w, http.StatusCreated, c.view(m))
}

func (c *fakeCloud) follow(w http.ResponseWriter, r *http.Request, kind, region, operation, version string) {
	scheme := "https"
	if r.TLS == nil {
		scheme = "http"
	}
	w.Header().Set("Azure-AsyncOperation", fmt.Sprintf("%s://%s/subscriptions/%s/providers/%s/locations/%s/operations/%s?api-version=%s", scheme, r.Host, c.sub, kind, region, operation, version))
	w.Header().Set("Retry-After", "10")
}

// putAgain answers a creation of what is there.
func (c *fakeCloud) putAgain(w http.ResponseWriter, r *http.Request, old *machine, body *vmBody) {
	switch {
	case r.Header.Get("If-None-Match") == "*":
		refuse(w, &refusal{status: http.StatusPreconditionFailed, code: "PreconditionFailed", message: "The resource exists."})
	case !old.goes.IsZero():
		refuse(w, &refusal{status: http.StatusConflict, code: "OperationNotAllowed", message: "The VM is marked for deletion. Only Delete operations can be performed."})
	case body.Properties.OSProfile.CustomData != old.body.Properties.OSProfile.CustomData:
		refuse(w, &refusal{status: http.StatusConflict, code: "PropertyChangeNotAllowed", message: "Changing property 'osProfile.customData' is not allowed."})
	default:
		old.body.Tags = body.Tags
		answer(w, http.StatusOK, c.view(old))
	}
}

// unfit says what Azure would not take.
func (c *fakeCloud) unfit(name string, b *vmBody) *refusal {
	p := &b.Properties
	bad := func(what string) *refusal {
		return &refusal{status: 400, code: "InvalidParameter", message: what + " is invalid"}
	}
	script, err := base64.StdEncoding.DecodeString(p.OSProfile.CustomData)
	keys := p.OSProfile.LinuxConfiguration.SSH.PublicKeys
	cards := p.NetworkProfile.NetworkInterfaces
	switch {
	case b.Location == "" || p.HardwareProfile.VMSize == "":
		return bad("location or vmSize")
	case len(name) > 64 || p.OSProfile.ComputerName == "" || len(p.OSProfile.ComputerName) > 64:
		return bad("name")
	case len(b.Zones) > 1 || len(b.Zones) == 1 && !strings.Contains("123", b.Zones[0]):
		return bad("zones")
	case err != nil || len(script) > 64<<10:
		return bad("customData")
	case p.OSProfile.AdminUsername == "" || p.OSProfile.AdminUsername == "root" || p.OSProfile.AdminUsername == "admin":
		return bad("adminUsername")
	case !p.OSProfile.LinuxConfiguration.DisablePasswordAuthentication || len(keys) != 1 || keys[0].Path != "/home/"+p.OSProfile.AdminUsername+"/.ssh/authorized_keys":
		return bad("linuxConfiguration")
	case p.StorageProfile.OSDisk.CreateOption != "FromImage" || len(p.StorageProfile.ImageReference) == 0 || c.disks[p.StorageProfile.OSDisk.Name] != nil:
		return bad("storageProfile")
	case p.Priority == "Spot" && p.EvictionPolicy == "" || p.Priority != "Spot" && (p.EvictionPolicy != "" || p.BillingProfile != nil):
		return bad("priority")
	case p.Priority == "Spot" && p.CapacityReservation != nil:
		return bad("capacityReservation")
	case len(cards) != 1 || !cards[0].Properties.Primary:
		return bad("networkProfile")
	}
	card := c.cards[cards[0].ID[strings.LastIndex(cards[0].ID, "/")+1:]]
	switch {
	case card == nil:
		return &refusal{status: 400, code: "InvalidResourceReference", message: "Resource " + cards[0].ID + " was not found."}
	case card.machine != "":
		return &refusal{status: 400, code: "NicInUse", message: "Network Interface is used by " + card.machine}
	case card.body.Location != b.Location:
		return bad("the card's location")
	}
	return nil
}

func (c *fakeCloud) getMachine(w http.ResponseWriter, r *http.Request, name, _ string) {
	m := c.vms[name]
	if !c.shown(m) {
		notFound(w, "Microsoft.Compute/virtualMachines", name)
		return
	}
	out := c.view(m)
	if r.URL.Query().Get("$expand") == "instanceView" {
		out["properties"].(object)["instanceView"] = object{"statuses": c.statuses(m), "vmAgent": object{"vmAgentVersion": "Unknown"}}
	}
	answer(w, http.StatusOK, out)
}

func (c *fakeCloud) deleteMachine(w http.ResponseWriter, r *http.Request, name, _ string) {
	m := c.vms[name]
	if m == nil {
		answer(w, http.StatusNoContent, nil)
		return
	}
	wait := c.deleteFor
	if r.URL.Query().Get("forceDeletion") != "true" {
		wait += 10 * time.Minute // its system may take its time
	}
	if m.goes.IsZero() {
		m.goes = c.now.Add(wait)
	}
	c.numbers++
	operation := fmt.Sprintf("op-%d", c.numbers)
	c.operations[operation] = m
	c.follow(w, r, "Microsoft.Compute", m.body.Location, operation, "2026-04-01")
	w.Header().Set("Location", w.Header().Get("Azure-AsyncOperation")+"&monitor=true")
	answer(w, http.StatusAccepted, nil)
}

func (c *fakeCloud) listMachines(w http.ResponseWriter, r *http.Request, _, _ string) {
	if r.URL.Query().Get("$expand") != "" {
		refuse(w, &refusal{status: 400, code: "BadRequest", message: "$expand needs a $filter."})
		return
	}
	c.pages(w, r, c.visible(), func(name string) object { return c.view(c.vms[name]) })
}

// visible are the names of the machines that listings have.
func (c *fakeCloud) visible() []string {
	return slices.DeleteFunc(sorted(c.vms), func(name string) bool { return !c.shown(c.vms[name]) })
}

// listPower lists the whole subscription; with statusOnly it has power and no tags.
func (c *fakeCloud) listPower(w http.ResponseWriter, r *http.Request, _, _ string) {
	if r.URL.Query().Get("statusOnly") != "true" {
		refuse(w, &refusal{status: 400, code: "BadRequest", message: "this cloud lists power alone"})
		return
	}
	c.pages(w, r, append(c.visible(), "theirs"), func(name string) object {
		m := c.vms[name]
		if m == nil { // of somebody else, in another group
			id := strings.Replace(c.id("Microsoft.Compute/virtualMachines", name), strings.ToUpper(group), "theirs", 1)
			return object{"id": id, "name": name, "location": "eastus", "properties": object{"instanceView": object{"statuses": []object{{"code": "PowerState/stopped"}}}}}
		}
		props := object{"vmId": m.number, "instanceView": object{"statuses": c.statuses(m)}}
		if c.blind {
			delete(props, "instanceView")
		}
		return object{"id": c.id("Microsoft.Compute/virtualMachines", strings.ToUpper(name)), "name": name, "location": m.body.Location, "properties": props}
	})
}

func (c *fakeCloud) getOperation(w http.ResponseWriter, _ *http.Request, name, _ string) {
	m := c.operations[name]
	switch {
	case m == nil:
		refuse(w, &refusal{status: 404, code: "NotFound", message: "no such operation"})
	case m.failed(c.now):
		answer(w, http.StatusOK, object{"status": "Failed", "error": object{"code": m.code, "message": m.message}})
	case m.state(c.now) == "Succeeded":
		answer(w, http.StatusOK, object{"status": "Succeeded"})
	default:
		answer(w, http.StatusOK, object{"status": "InProgress"})
	}
}
