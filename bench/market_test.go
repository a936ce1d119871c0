package bench

import (
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/internal/pgtest"
	"purser/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func zipFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// madeMarket is a catalogue of 30 machines and a history of one of them.
func madeMarket(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	list := "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Region,AvailabilityZone,Price,SpotPrice\n"
	for i := range 30 {
		list += fmt.Sprintf("g%d.xlarge,A10G,1,4,16,us-east-1,use1-az1,1.%02d,0.%02d\n", i, i, i+10)
	}
	zipFile(t, filepath.Join(dir, "price-catalogs-2024-02", "aws.csv.gz"), list)
	zipFile(t, filepath.Join(dir, "aws-spot-history-2023", "spot_prices.csv.gz"),
		"observed_at,instance_type,availability_zone_id,spot_usd_per_hour,on_demand_usd_per_hour\n"+
			"2023-01-01T00:00:00Z,g1.xlarge,use1-az1,0.4,1.0\n2023-02-01T00:00:00Z,g1.xlarge,use1-az1,0.5,1.0\n")
	return dir
}

func TestMarket(t *testing.T) {
	dsn := pgtest.New(t, pgtest.Template{Name: "schema", Migrate: func(ctx context.Context, dsn string) error {
		_, err := postgres.Migrate(ctx, dsn)
		return err
	}})
	db, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m := Market{DB: db, Dir: madeMarket(t), Offers: 40, Rows: 200, Goal: 1000, Now: time.Now, Say: func(string) {}}
	figures, err := m.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range figures {
		got[f.Case+" "+strings.Fields(f.Unit)[0]] = f.Value
	}
	for name, want := range map[string]float64{"catalogues rows": 60, "catalogues offers": 60, "history changes": 3, "collector's path observed": 200} {
		if got[name] != want {
			t.Errorf("%s: %g, want %g; all %v", name, got[name], want, got)
		}
	}
	if got["stored points"] < 1000 || got["stored points"] > 1100 || got["collector's path %"] < 20 || got["collector's path %"] > 70 {
		t.Errorf("figures %v", got)
	}
	m.Offers = 1000
	if _, err := m.Run(t.Context()); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("more offers than there are: %v", err)
	}
	m.Dir = t.TempDir()
	if _, err := m.Run(t.Context()); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("an empty folder: %v", err)
	}
}
