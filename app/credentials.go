package app

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"purser"
)

// CredentialsFile is the name, within the data folder, of what the CLI needs to
// reach the server of this host. Mode 0600.
const CredentialsFile = "credentials.json"

// Credentials are an address and a token.
type Credentials struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// ReadCredentials reads what a server left for the CLI; not_found when there is
// none.
func ReadCredentials(path string) (Credentials, error) {
	var c Credentials
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, purser.Errorf(purser.KindNotFound, "app.ReadCredentials", "no server has left its token at %s", path)
	}
	if err != nil {
		return c, purser.Errorf(purser.KindForbidden, "app.ReadCredentials", "the server's token cannot be read: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, purser.Errorf(purser.KindInvalid, "app.ReadCredentials", "%s is damaged: %w", path, err)
	}
	return c, nil
}

// writeCredentials replaces the file whole: a reader sees the old one or the new,
// also after a crash or on a full disk.
func writeCredentials(path string, c Credentials) error {
	const op = "app.writeCredentials"
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return purser.Wrap(purser.KindInternal, op, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // mode 0600
	if err == nil {
		_, err = tmp.Write(append(b, '\n'))
		if err == nil {
			err = tmp.Sync()
		}
		err = errors.Join(err, tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), path)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}
	if err != nil {
		return &purser.Error{
			Kind: purser.KindUnavailable, Op: op, Message: "the token cannot be kept at " + path,
			Hint: "make room there, or name another folder with --data-dir", Cause: err,
		}
	}
	return nil
}
