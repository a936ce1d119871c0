package app

import (
	"os"

	"purser"
	"purser/jobfile"
)

func readLimits(path string) (jobfile.Limits, error) {
	if path == "" {
		return jobfile.Limits{}, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return jobfile.Limits{}, purser.Errorf(purser.KindInvalid, "app", "the limits file %s cannot be read: %w", path, err)
	}
	return jobfile.ParseLimits(path, b)
}
