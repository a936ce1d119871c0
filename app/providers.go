package app

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"purser"
	"purser/fleet"
	"purser/postgres"
	"purser/postgres/embedded"
	"purser/providers"
	"purser/providers/local"
)

// localHolder is the adapter that stands in for machines in rehearsal and runs the
// operator's own hosts.
const localHolder = "local"

func (a *App) startProviders(ctx context.Context) error {
	agent := a.options.Agent
	if agent == "" {
		exe, err := os.Executable()
		if err != nil {
			return purser.Wrap(purser.KindInternal, "app.Start", err)
		}
		agent = exe
	}
	machines, err := local.New(a.localConfig(agent))
	if err != nil {
		return err
	}
	metrics, err := providers.NewMetrics(a.registry)
	if err != nil {
		return err
	}
	a.providers = map[string]providers.Provider{
		localHolder: providers.Decorate(machines, providers.Options{
			Metrics: metrics, Now: a.now,
			Limit: providers.RateLimit{PerSecond: 200, Burst: 200}, // processes of this host, no cloud's API
		}),
	}
	joinTimes := map[string]time.Duration{localHolder: time.Minute}
	listEvery := map[string]time.Duration{}
	for _, k := range kindsOfProvider() {
		c, enabled := a.config.Providers[k.name]
		if !enabled {
			continue
		}
		p, err := k.build(ctx, a, c)
		if err != nil {
			return err
		}
		a.providers[k.name] = providers.Decorate(p, k.options(c, metrics, a.now))
		listEvery[k.name] = k.listEvery
		joinTimes[k.name] = cmp.Or(c.JoinWithin, k.joinWithin)
		a.log.Info("provider enabled", slog.String("provider", k.name), slog.Bool("dry_run", c.DryRun), slog.Any("regions", c.Regions))
	}
	a.fleet, err = fleet.New(fleet.Config{
		Store: a.db, Upkeep: a.db, Providers: a.providers, Installation: a.installation, Secret: a.secret,
		Host: a.host, ServerURL: a.url, AgentSHA256: a.agentSHA256(), Logger: a.log.With(slog.String("part", "fleet")), Now: a.now,
		Timing: fleet.Timing{JoinTimeouts: joinTimes, ListEvery: listEvery}, Pools: a.pools,
	})
	return err
}

func (a *App) localConfig(binary string) local.Config {
	c := local.Config{
		Dir: a.machinesDir(), CheckpointRoot: filepath.Join(a.config.DataDir, "checkpoints"), Installation: a.installation,
		Binary: binary, Host: a.host, MaxMachines: a.config.MaxMachines, Logger: a.log.With(slog.String("part", "local")), Now: a.now,
	}
	for _, o := range a.limits.Private {
		c.Hosts = append(c.Hosts, local.Host{
			Name: o.InstanceType, Shape: o.Shape, UnitPrice: o.UnitPrice, Count: o.Limit, Region: o.Region, Zone: o.Zone, Country: o.Country, Source: o.Source,
		})
	}
	return c
}

func (c Config) embedded(log *slog.Logger) embedded.Config {
	return embedded.Config{
		DataDir: filepath.Join(c.DataDir, "postgres"), BinDir: c.PostgresBin, NodeModules: c.NodeModules,
		CacheDir: filepath.Join(c.DataDir, "cache", "postgres"), Durable: true, Logger: log,
		Parameters: map[string]string{"shared_buffers": "256MB"}, // a history of prices is worth remembering; taken only as it is used
	}
}

// Migrate brings the schema up and stops: for operators who do it before a start.
func Migrate(ctx context.Context, c Config, log *slog.Logger) (applied int, err error) {
	dsn := c.DatabaseURL
	if dsn == "" {
		if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
			return 0, purser.Errorf(purser.KindForbidden, "app.Migrate", "the data folder %s cannot be made: %w", c.DataDir, err)
		}
		s, err := embedded.Start(ctx, c.embedded(log))
		if err != nil {
			return 0, err
		}
		defer func() { _ = s.Stop(context.WithoutCancel(ctx)) }()
		dsn = s.DSN()
	}
	return postgres.Migrate(ctx, dsn)
}
