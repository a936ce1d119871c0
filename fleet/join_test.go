package fleet_test

import (
	"testing"
	"time"

	"purser"
	"purser/fleet"
	"purser/providers/fake"
)

// A machine that took long to begin has all of its time to join.
func TestTimeToJoinBeginsWithTheMachine(t *testing.T) {
	b := newBench(t, fake.Config{BootTime: 7 * time.Minute}, func(c *fleet.Config) { c.Timing.JoinTimeout = 5 * time.Minute })
	b.lease("a", nil)
	b.step("a")
	b.step("a")
	for range 7 {
		b.step("a")
		b.is("a", purser.LeaseLaunching, "")
		b.at = b.at.Add(time.Minute)
	}
	b.at = b.at.Add(3 * time.Minute)
	b.step("a")
	b.is("a", purser.LeaseLaunching, "")
	b.at = b.at.Add(2 * time.Minute)
	b.step("a")
	b.is("a", purser.LeaseDraining, "did not join within 5m0s")
}

// So has one whose launch was answered late, as when its program had to be brought first.
func TestTimeToJoinBeginsWhenTheLaunchIsAnswered(t *testing.T) {
	b := newBench(t, fake.Config{}, func(c *fleet.Config) { c.Timing.JoinTimeout = 2 * time.Minute })
	b.lease("a", nil)
	b.step("a")
	b.cloud.LoseNext(fake.Launch, 1)
	b.step("a")
	b.at = b.at.Add(4 * time.Minute)
	b.step("a")
	b.at = b.at.Add(time.Minute)
	b.step("a")
	b.is("a", purser.LeaseLaunching, "")
	b.at = b.at.Add(2 * time.Minute)
	b.step("a")
	b.is("a", purser.LeaseDraining, "did not join within 2m0s")
}
