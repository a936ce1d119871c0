package kubernetes

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"purser"
	"purser/providers"
)

// Where things lie in a task's container.
const (
	workDir       = "/purser/work"
	checkpointDir = "/purser/checkpoint"
	progressFile  = "/purser/run/progress"
)

// The names within a pod.
const (
	containerName   = "task"
	workVolume      = "work"
	runVolume       = "run"
	fileVolume      = "files"
	savedVolume     = "checkpoint"
	deviceClaimName = "devices"
)

// stopGraceSeconds is how long a task has for a last checkpoint after it was asked to stop: as
// long as an agent gives it.
const stopGraceSeconds = 25

// preStop asks every process of the container to stop. The signal that follows the hook
// only reaches the first process, which is a shell that waits for the command and, being
// the first, ignores it. The hook stays until the container ends or its time is over.
var preStop = []string{"/bin/sh", "-c", "kill -s TERM -1; sleep " + strconv.Itoa(stopGraceSeconds)}

// template is the pod of a task on a claim.
func (p *Provider) template(c claim, w providers.Work) (corev1.PodTemplateSpec, error) {
	devices, err := units(c.Part, w.Task)
	if err = cmp.Or(err, checkPaths(w.Group)); err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	meta := p.meta("", partTask, c.Lease)
	meta.Namespace = ""
	meta.Labels[LabelTask] = labelValue(string(w.Task.ID))
	no, grace := false, int64(stopGraceSeconds)
	spec := corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &grace,
		Tolerations: p.tolerations(), Affinity: pinned(c.Part),
		Containers: []corev1.Container{p.container(c, w, devices)},
		Volumes: []corev1.Volume{
			{Name: workVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: runVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: savedVolume, VolumeSource: p.Checkpoints.source()},
		},
	}
	if service(w) {
		spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if p.ImagePullSecret != "" {
		spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: p.ImagePullSecret}}
	}
	if len(w.Group.Run.Files) > 0 {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: fileVolume, VolumeSource: corev1.VolumeSource{ConfigMap: fileSource(w)}})
	}
	if c.Part.Driver != "" && devices > 0 {
		name := objectName(string(w.Task.ID))
		spec.ResourceClaims = []corev1.PodResourceClaim{{Name: deviceClaimName, ResourceClaimTemplateName: &name}}
		spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: deviceClaimName}}
	}
	return corev1.PodTemplateSpec{ObjectMeta: meta, Spec: spec}, nil
}

// service says whether a task serves until it is ended.
func service(w providers.Work) bool { return w.Group.Kind == purser.Inference }

// units is how many units of the claim's pool a task takes.
func units(at part, t purser.Task) (int64, error) {
	switch {
	case t.Devices == 0:
		return 0, nil
	case at.Pool == "":
		return 0, purser.Errorf(purser.KindInvalid, "kubernetes.Run", "task %s needs devices, and its machine has none", t.ID)
	case int64(t.Devices)%at.Share != 0:
		return 0, &purser.Error{
			Kind: purser.KindInvalid, Op: "kubernetes.Run",
			Message: fmt.Sprintf("task %s needs %s of a device, and this machine gives out whole ones", t.ID, t.Devices),
			Hint:    "slice the devices with MIG or time slicing, or ask for a whole one",
		}
	}
	n := int64(t.Devices) / at.Share
	if n > at.Units {
		return 0, purser.Errorf(purser.KindInvalid, "kubernetes.Run", "task %s needs %s devices, and its machine has %s", t.ID, t.Devices, purser.MilliDevices(at.Units*at.Share))
	}
	return n, nil
}

// pinned keeps a pod to the claim's place. It leaves the placing to the scheduler, which
// checks that the pod fits there.
func pinned(at part) *corev1.Affinity {
	term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{at.Host}}}}
	if at.Host == "" {
		term = corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{at.Node}}}}
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}}}}
}

func (p *Provider) container(c claim, w providers.Work, devices int64) corev1.Container {
	r := w.Group.Run
	no := false
	out := corev1.Container{
		Name: containerName, Image: cmp.Or(r.Image, p.Image), WorkingDir: within(r.Workdir),
		Env: p.environment(c, w, devices), VolumeMounts: p.mounts(w),
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no},
		Resources:       corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}},
	}
	if w.Task.MilliCPU > 0 {
		out.Resources.Requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(w.Task.MilliCPU, resource.DecimalSI)
	}
	if w.Task.MemoryMiB > 0 {
		out.Resources.Requests[corev1.ResourceMemory] = *resource.NewQuantity(w.Task.MemoryMiB<<20, resource.BinarySI)
	}
	if c.Part.Driver == "" && devices > 0 {
		n := *resource.NewQuantity(devices, resource.DecimalSI)
		out.Resources.Requests[corev1.ResourceName(c.Part.Pool)], out.Resources.Limits[corev1.ResourceName(c.Part.Pool)] = n, n
	}
	if w.Group.Port > 0 {
		out.Ports = []corev1.ContainerPort{{ContainerPort: int32(w.Group.Port)}} //nolint:gosec // a group's check bounds it by 65535
	}
	if s := script(r); s != "" {
		out.Command = []string{"/bin/sh", "-c", s}
		out.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: preStop}}}
	}
	return out
}

// script runs set-up and command in a shell that stays the container's first process, so
// that the command is not: the first process of a container is deaf to signals that it has
// no handler for.
func script(r purser.Run) string {
	switch {
	case r.Command == "":
		return "" // the image's own
	case r.Setup == "":
		return "{ " + r.Command + "\n}\nexit $?\n"
	default:
		return "{ " + r.Setup + "\n} && { " + r.Command + "\n}\nexit $?\n"
	}
}

// within is a path of a task, seen from its working directory.
func within(p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(workDir, p)
}

// environment is what tasks find on every machine of Purser, see package agent. The
// contract comes last, so a group cannot overrule it.
func (p *Provider) environment(c claim, w providers.Work, devices int64) []corev1.EnvVar {
	var env []corev1.EnvVar
	set := func(name, value string) {
		env = slices.DeleteFunc(env, func(e corev1.EnvVar) bool { return e.Name == name })
		env = append(env, corev1.EnvVar{Name: name, Value: value})
	}
	for _, name := range slices.Sorted(maps.Keys(w.Group.Run.Env)) {
		set(name, literal(w.Group.Run.Env[name]))
	}
	whole := (devices*max(c.Part.Share, 1) + 999) / 1000
	numbers := make([]string, whole)
	for i := range numbers {
		numbers[i] = strconv.Itoa(i)
	}
	t := w.Task
	set("PURSER_JOB", w.JobName)
	set("PURSER_JOB_ID", string(t.Job))
	set("PURSER_PROJECT", w.Project)
	set("PURSER_GROUP", w.Group.Name)
	set("PURSER_REPLICA", strconv.Itoa(t.Replica))
	set("PURSER_REPLICAS", strconv.Itoa(cmp.Or(t.World, max(w.Group.Replicas, 1))))
	set("PURSER_STAGES", strconv.Itoa(w.Group.StagesOf(t.Variant)))
	set("PURSER_ATTEMPT", strconv.Itoa(t.Attempt))
	set("PURSER_VARIANT", t.Variant)
	set("PURSER_TASK", string(t.ID))
	set("PURSER_LEASE", string(c.Lease))
	set("PURSER_DEVICES", strings.Join(numbers, ","))
	set("PURSER_CHECKPOINT_DIR", saves(w))
	set("PURSER_PROGRESS_FILE", progressFile)
	if devices == 0 {
		set("NVIDIA_VISIBLE_DEVICES", "void") // or the runtime would show all of them
	}
	if w.Group.Port > 0 {
		set("PORT", strconv.Itoa(w.Group.Port))
	}
	return env
}

// literal keeps the API server from replacing $(NAME) in a value.
func literal(s string) string { return strings.ReplaceAll(s, "$(", "$$(") }

// mounts are the volumes as a task sees them. Checkpoints of a job, group and replica have
// a folder of their own, and lie where the group writes them, too.
func (p *Provider) mounts(w providers.Work) []corev1.VolumeMount {
	work := within(w.Group.Run.Workdir)
	saved := corev1.VolumeMount{Name: savedVolume, MountPath: saves(w)}
	if p.Checkpoints.lasting() {
		saved.SubPath = path.Join("purser", p.Installation, labelValue(string(w.Task.Job)), w.Group.Name, strconv.Itoa(w.Task.Replica))
	}
	out := []corev1.VolumeMount{{Name: workVolume, MountPath: workDir}, {Name: runVolume, MountPath: path.Dir(progressFile)}, saved}
	if own := w.Group.Checkpoint.Path; own != "" && !path.IsAbs(own) {
		saved.MountPath = path.Join(work, own)
		out = append(out, saved)
	}
	for i, f := range w.Group.Run.Files {
		out = append(out, corev1.VolumeMount{Name: fileVolume, MountPath: path.Join(work, f.Path), SubPath: fileKey(i)})
	}
	return out
}

// saves is the folder of a task's checkpoints: the group's own where it names an absolute one.
func saves(w providers.Work) string {
	if own := w.Group.Checkpoint.Path; path.IsAbs(own) {
		return path.Clean(own)
	}
	return checkpointDir
}

// checkPaths refuses paths of a group that lead out of its working directory.
func checkPaths(g purser.TaskGroup) error {
	paths := []string{cmp.Or(g.Run.Workdir, "."), cmp.Or(g.Checkpoint.Path, ".")}
	for _, f := range g.Run.Files {
		paths = append(paths, "./"+f.Path)
	}
	for _, p := range paths {
		if !path.IsAbs(p) && !filepath.IsLocal(p) {
			return purser.Errorf(purser.KindInvalid, "kubernetes.Run", "the path %q leads out of the task's working directory", p)
		}
	}
	return nil
}

func (c Checkpoints) source() corev1.VolumeSource {
	switch {
	case c.PVC != "":
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.PVC}}
	case c.HostPath != "":
		made := corev1.HostPathDirectoryOrCreate
		return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: c.HostPath, Type: &made}}
	default:
		return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	}
}

func fileKey(i int) string { return "file-" + strconv.Itoa(i) }

// fileSource brings a group's files, with their modes.
func fileSource(w providers.Work) *corev1.ConfigMapVolumeSource {
	out := &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: filesName(w.Task.ID)}}
	for i, f := range w.Group.Run.Files {
		mode := int32(cmp.Or(f.Mode, 0o644) & 0o777) //nolint:gosec // nine bits
		out.Items = append(out.Items, corev1.KeyToPath{Key: fileKey(i), Path: fileKey(i), Mode: &mode})
	}
	return out
}

func filesName(t purser.TaskID) string { return objectName(string(t)) + "-files" }

// deviceTemplate asks a driver for a task's devices (resource.k8s.io).
func (p *Provider) deviceTemplate(c claim, w providers.Work, devices int64) *resourcev1.ResourceClaimTemplate {
	meta := p.meta(objectName(string(w.Task.ID)), partFiles, c.Lease)
	meta.OwnerReferences = ownedBy(c.name, c.uid)
	inner := p.meta("", partTask, c.Lease)
	inner.Namespace = ""
	return &resourcev1.ResourceClaimTemplate{ObjectMeta: meta, Spec: resourcev1.ResourceClaimTemplateSpec{
		ObjectMeta: inner,
		Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
			Name: deviceClaimName, Exactly: &resourcev1.ExactDeviceRequest{
				DeviceClassName: cmp.Or(p.DeviceClass, c.Part.Driver), AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: devices,
			},
		}}}},
	}}
}
