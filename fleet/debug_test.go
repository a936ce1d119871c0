package fleet_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

func TestDebugWorld(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("WORLD"), 10, 64)
	if err != nil {
		t.Skip()
	}
	w, faults := simulate(seed)
	fmt.Println(faults)
	fmt.Printf("config %+v\n", w.config)
	for _, e := range w.store.audit {
		fmt.Println(e.At.Format("15:04:05"), e.Name, e.From, e.To, e.Reason)
	}
	for _, m := range w.cloud.Machines() {
		fmt.Println(m.ID, m.Lease, m.State, m.StartedAt.Format("15:04:05"), m.EndedAt.Format("15:04:05"), m.GoneAt.Format("15:04:05"), m.Reason, w.outlived[m.ID])
	}
	fmt.Println("alarms", w.alarms, "agents", len(w.agents))
	for id, a := range w.agents {
		fmt.Printf("%s %+v\n", id, a)
	}
}

var debug = os.Getenv("WORLD") != ""
