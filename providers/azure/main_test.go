package azure_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when anything goes on after the tests: pages that nobody waits for,
// operations that are still looked at.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
