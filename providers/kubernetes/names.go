package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"purser"
)

// The labels of everything that Purser makes in a cluster.
const (
	LabelLease        = "purser-lease"
	LabelInstallation = "purser-installation"
	LabelTask         = "purser-task"
	LabelPart         = "purser-part" // claim, task, files or gang
	LabelGang         = "purser-gang" // on a gang's Jobs and pods: the name of its JobSet
)

// LabelAccelerator on a node names its accelerators where Purser cannot tell them from
// the vendor's labels, by canonical name or alias.
const LabelAccelerator = "purser-accelerator"

// The values of LabelPart.
const (
	partClaim = "claim" // a lease's machine
	partTask  = "task"  // a Job or Deployment, and its pods
	partFiles = "files" // what a task's pod needs beside it
	partGang  = "gang"  // a JobSet
)

// AnnotationEnd on a Job or Deployment says that Purser ended it, and as what.
const AnnotationEnd = "purser-end"

// annotationSaves on a Job or Deployment says where its task writes checkpoints.
const annotationSaves = "purser-checkpoint"

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$`)

// objectName is the name of a lease's claim or of a task's objects: always the same for
// the same id. It leaves room for what controllers append (63 is the most of a label).
func objectName(id string) string { return "purser-" + labelValue(id) }

// labelValue is the id itself where it may be one, as all ids that Purser makes may be.
func labelValue(id string) string {
	if nameForm.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

// meta is the beginning of every object that Purser makes.
func (p *Provider) meta(name, part string, lease purser.LeaseID) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: p.Namespace,
		Labels: map[string]string{LabelPart: part, LabelInstallation: p.Installation, LabelLease: labelValue(string(lease))},
	}
}

// ownedBy lets the cluster's garbage collector remove an object after its claim.
func ownedBy(name string, uid types.UID) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: uid}}
}

// ofLease selects what belongs to a lease of this installation.
func (p *Provider) ofLease(part string, lease purser.LeaseID) string {
	return LabelPart + "=" + part + "," + LabelInstallation + "=" + p.Installation + "," + LabelLease + "=" + labelValue(string(lease))
}

// ofInstallation selects what belongs to this installation.
func (p *Provider) ofInstallation(part string) string {
	return LabelPart + "=" + part + "," + LabelInstallation + "=" + p.Installation
}
