package jobfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"purser"
)

// Load reads a job file from the disk, or from standard input for "-". It reads
// at most one byte more than MaxSize. Local files of jobs are read from the
// folder of the job file, for standard input from the working folder; links that
// lead out of it are refused.
func Load(path string, opt Options) ([]purser.Job, error) {
	name, data, err := load(path, opt.Stdin)
	if err != nil {
		return nil, err
	}
	if opt.ReadFile == nil {
		folder := "."
		if path != "-" {
			folder = filepath.Dir(path)
		}
		opt.ReadFile = FilesBelow(folder)
	}
	return Parse(name, data, opt)
}

// LoadLimits reads a limits file like Load reads a job file.
func LoadLimits(path string, opt Options) (Limits, error) {
	name, data, err := load(path, opt.Stdin)
	if err != nil {
		return Limits{}, err
	}
	return ParseLimits(name, data)
}

func load(path string, stdin io.Reader) (name string, data []byte, err error) {
	if path == "-" {
		if stdin == nil {
			stdin = os.Stdin
		}
		data, err = readCapped(stdin, MaxSize)
		return "stdin", data, cannotRead("stdin", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return path, nil, cannotRead(path, err)
	}
	defer f.Close()
	data, err = readCapped(f, MaxSize)
	return path, data, cannotRead(path, err)
}

// readCapped reads at most one byte more than most, which Parse then refuses.
func readCapped(from io.Reader, most int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := b.ReadFrom(io.LimitReader(from, most+1))
	return b.Bytes(), err
}

func cannotRead(name string, err error) error {
	if err == nil {
		return nil
	}
	e := &purser.Error{
		Kind: purser.KindInvalid, Op: "jobfile.Load", Message: "the file cannot be read",
		Place: &purser.Place{File: name}, Cause: err,
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		e.Cause = pathErr.Err // the path is in the place already
	}
	return e
}

// FilesBelow gives an Options.ReadFile that reads ordinary files below a folder,
// at most one byte more than MaxFile of each. Links that lead out of the folder
// are refused, and so are pipes and devices, which may never end.
func FilesBelow(folder string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) { return readBelow(folder, path) }
}

func readBelow(folder, path string) ([]byte, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not an ordinary file", path)
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readCapped(f, MaxFile)
}
