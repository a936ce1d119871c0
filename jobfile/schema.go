package jobfile

import (
	"bytes"
	_ "embed"
)

var (
	//go:embed schema.json
	jobSchema []byte
	//go:embed limits-schema.json
	limitsSchema []byte
)

// Schema is the JSON Schema (draft 2020-12) of job files, for editors. It knows
// every field and its form; what depends on several fields is Parse's to judge.
func Schema() []byte { return bytes.Clone(jobSchema) }

// LimitsSchema is the JSON Schema of limits files.
func LimitsSchema() []byte { return bytes.Clone(limitsSchema) }
