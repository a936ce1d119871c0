package azure_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// card is a network card of the test's cloud.
type card struct {
	body    cardBody
	machine string
	ready   time.Time
}

// cardBody is what may be put. A public address is not.
type cardBody struct {
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		IPConfigurations []struct {
			Name       string `json:"name"`
			Properties struct {
				Primary bool `json:"primary"`
				Subnet  struct {
					ID string `json:"id"`
				} `json:"subnet"`
				PrivateIPAllocationMethod string `json:"privateIPAllocationMethod"`
			} `json:"properties"`
		} `json:"ipConfigurations"`
		NetworkSecurityGroup *struct {
			ID string `json:"id"`
		} `json:"networkSecurityGroup,omitempty"`
		EnableAcceleratedNetworking bool `json:"enableAcceleratedNetworking,omitempty"`
	} `json:"properties"`
}

// disk is a system disk of the test's cloud.
type disk struct {
	machine string
	made    time.Time
}

// groupBody is an application security group.
type groupBody struct {
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct{}          `json:"properties"`
}

// reservations is a capacity reservation group.
type reservations struct{ list, views []object }

func (c *fakeCloud) cardView(name string) object {
	card := c.cards[name]
	state := "Succeeded"
	if card.ready.After(c.now) {
		state = "Updating"
	}
	text, _ := json.Marshal(card.body.Properties) // of a struct of plain fields
	props := object{}
	_ = json.Unmarshal(text, &props)
	props["provisioningState"] = state
	if card.machine != "" {
		props["virtualMachine"] = object{"id": c.id("Microsoft.Compute/virtualMachines", card.machine)}
	}
	return object{"id": c.id("Microsoft.Network/networkInterfaces", name), "name": name, "location": card.body.Location, "tags": card.body.Tags, "properties": props}
}

func (c *fakeCloud) putCard(w http.ResponseWriter, r *http.Request, name, _ string) {
	var body cardBody
	read := json.NewDecoder(r.Body)
	read.DisallowUnknownFields()
	err := read.Decode(&body)
	if err != nil || body.Location == "" || len(name) > 80 || len(body.Properties.IPConfigurations) != 1 {
		refuse(w, &refusal{status: 400, code: "InvalidRequestContent", message: fmt.Sprint("the card: ", err)})
		return
	}
	if id := body.Properties.IPConfigurations[0].Properties.Subnet.ID; !strings.Contains(id, "/virtualNetworks/"+body.Location+"/subnets/") {
		refuse(w, &refusal{status: 400, code: "InvalidResourceReference", message: "Resource " + id + " referenced by resource " + name + " was not found."})
		return
	}
	status := http.StatusOK
	old := c.cards[name]
	if old == nil {
		status, old = http.StatusCreated, &card{}
		c.cards[name] = old
	}
	if old.body = body; c.slowCards {
		old.ready = c.now.Add(4 * time.Second)
		c.follow(w, r, "Microsoft.Network", body.Location, name, "2025-05-01")
	}
	answer(w, status, c.cardView(name))
}

func (c *fakeCloud) getCard(w http.ResponseWriter, _ *http.Request, name, _ string) {
	if c.cards[name] == nil {
		notFound(w, "Microsoft.Network/networkInterfaces", name)
		return
	}
	answer(w, http.StatusOK, c.cardView(name))
}

func (c *fakeCloud) getCardOperation(w http.ResponseWriter, _ *http.Request, name, _ string) {
	if card := c.cards[name]; card != nil && card.ready.After(c.now) {
		answer(w, http.StatusOK, object{"status": "InProgress"})
		return
	}
	answer(w, http.StatusOK, object{"status": "Succeeded"})
}

func (c *fakeCloud) deleteCard(w http.ResponseWriter, _ *http.Request, name, _ string) {
	switch card := c.cards[name]; {
	case card == nil:
		answer(w, http.StatusNoContent, nil)
	case card.machine != "":
		refuse(w, &refusal{status: 400, code: "NicInUse", message: "Network Interface " + name + " is used by existing resource " + card.machine})
	default:
		delete(c.cards, name)
		answer(w, http.StatusOK, nil)
	}
}

func (c *fakeCloud) listCards(w http.ResponseWriter, r *http.Request, _, _ string) {
	c.pages(w, r, sorted(c.cards), c.cardView)
}

func (c *fakeCloud) listDisks(w http.ResponseWriter, r *http.Request, _, _ string) {
	c.pages(w, r, sorted(c.disks), func(name string) object {
		d := c.disks[name]
		out := object{"id": c.id("Microsoft.Compute/disks", name), "name": name, "location": "eastus", "properties": object{"timeCreated": d.made.Format(time.RFC3339Nano), "diskState": "Unattached"}}
		if d.machine != "" {
			out["managedBy"] = c.id("Microsoft.Compute/virtualMachines", d.machine)
		}
		return out
	})
}

func (c *fakeCloud) deleteDisk(w http.ResponseWriter, r *http.Request, name, _ string) {
	switch d := c.disks[name]; {
	case d == nil:
		answer(w, http.StatusNoContent, nil)
	case d.machine != "":
		refuse(w, &refusal{status: 409, code: "OperationNotAllowed", message: "Disk " + name + " is attached to VM " + d.machine})
	default:
		delete(c.disks, name)
		c.follow(w, r, "Microsoft.Compute", "eastus", "disk-"+name, "2026-03-02")
		w.Header().Set("Location", w.Header().Get("Azure-AsyncOperation")+"&monitor=true")
		answer(w, http.StatusAccepted, nil)
	}
}

func (c *fakeCloud) recordView(name string) object {
	g := c.records[name]
	return object{"id": c.id("Microsoft.Network/applicationSecurityGroups", name), "name": name, "location": g.Location, "tags": g.Tags, "properties": object{"provisioningState": "Succeeded"}}
}

func (c *fakeCloud) putRecord(w http.ResponseWriter, r *http.Request, name, _ string) {
	var body groupBody
	read := json.NewDecoder(r.Body)
	read.DisallowUnknownFields()
	if err := read.Decode(&body); err != nil || body.Location == "" || len(name) > 80 {
		refuse(w, &refusal{status: 400, code: "InvalidRequestContent", message: fmt.Sprint("the group: ", err)})
		return
	}
	status := http.StatusCreated
	if old := c.records[name]; old != nil {
		if status = http.StatusOK; old.Location != body.Location {
			refuse(w, &refusal{status: 409, code: "InvalidResourceLocation", message: "The resource '" + name + "' already exists in location '" + old.Location + "'."})
			return
		}
	}
	c.records[name] = &body
	answer(w, status, c.recordView(name))
}

func (c *fakeCloud) getRecord(w http.ResponseWriter, _ *http.Request, name, _ string) {
	if c.records[name] == nil {
		notFound(w, "Microsoft.Network/applicationSecurityGroups", name)
		return
	}
	answer(w, http.StatusOK, c.recordView(name))
}

func (c *fakeCloud) deleteRecord(w http.ResponseWriter, _ *http.Request, name, _ string) {
	if c.records[name] == nil {
		answer(w, http.StatusNoContent, nil)
		return
	}
	delete(c.records, name)
	answer(w, http.StatusOK, nil)
}

func (c *fakeCloud) listRecords(w http.ResponseWriter, r *http.Request, _, _ string) {
	c.pages(w, r, sorted(c.records), c.recordView)
}

func (c *fakeCloud) listUsages(w http.ResponseWriter, r *http.Request, _, region string) {
	c.listed(w, r, c.usages[region])
}

func (c *fakeCloud) getReservationGroup(w http.ResponseWriter, r *http.Request, name, _ string) {
	g := c.keeps[name]
	switch {
	case g == nil:
		notFound(w, "Microsoft.Compute/capacityReservationGroups", name)
	case r.URL.Query().Get("$expand") != "instanceView":
		answer(w, http.StatusOK, object{"name": name, "location": "eastus", "properties": object{}})
	default:
		answer(w, http.StatusOK, object{"name": name, "location": "eastus", "properties": object{"instanceView": object{"capacityReservations": g.views}}})
	}
}

func (c *fakeCloud) listReservations(w http.ResponseWriter, r *http.Request, name, _ string) {
	c.listed(w, r, c.keeps[name].list)
}
