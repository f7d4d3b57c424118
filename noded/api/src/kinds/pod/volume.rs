//! Volumes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::container::{ObjectFieldSelector, ResourceFieldSelector};
use crate::meta::LabelSelector;
use crate::names;
use crate::quantity::Quantity;
use crate::schema::types;

types! {
    /// A volume that the containers of a pod can mount.
    Volume = "io.k8s.api.core.v1.Volume" {
        /// A disk of Amazon's cloud; no node here has it.
        aws_elastic_block_store = "awsElasticBlockStore": Option<Box<Value>>;
        /// A disk of Microsoft's cloud; no node here has it.
        azure_disk = "azureDisk": Option<Box<Value>>;
        /// A share of Microsoft's cloud; no node here has it.
        azure_file = "azureFile": Option<Box<Value>>;
        /// A file system of Ceph; no node here has it.
        cephfs = "cephfs": Option<Box<Value>>;
        /// A disk of OpenStack; no node here has it.
        cinder = "cinder": Option<Box<Value>>;
        /// The keys of a ConfigMap as files.
        config_map = "configMap": Option<ConfigMapVolumeSource>;
        /// Storage from a driver, for the life of the pod.
        csi = "csi": Option<CsiVolumeSource>;
        /// Facts about the pod as files.
        downward_api = "downwardAPI": Option<DownwardApiVolumeSource>;
        /// An empty folder that lives as long as the pod.
        empty_dir = "emptyDir": Option<EmptyDirVolumeSource>;
        /// A claim that is made for the pod and goes with it.
        ephemeral = "ephemeral": Option<Value>;
        /// A disk on Fibre Channel; no node here has it.
        fc = "fc": Option<Box<Value>>;
        /// Storage from a program of the node; no node here has it.
        flex_volume = "flexVolume": Option<Box<Value>>;
        /// A dataset of Flocker; no node here has it.
        flocker = "flocker": Option<Box<Value>>;
        /// A disk of Google's cloud; no node here has it.
        gce_persistent_disk = "gcePersistentDisk": Option<Box<Value>>;
        /// A repository of git; no node here has it.
        git_repo = "gitRepo": Option<Box<Value>>;
        /// A volume of Gluster; no node here has it.
        glusterfs = "glusterfs": Option<Box<Value>>;
        /// A path of the node.
        host_path = "hostPath": Option<HostPathVolumeSource>;
        /// The files of an image.
        image = "image": Option<ImageVolumeSource>;
        /// A disk on iSCSI; no node here has it.
        iscsi = "iscsi": Option<Box<Value>>;
        /// The name, unique in the pod.
        name = "name": String [required, format(names::dns_label)];
        /// A share of an NFS server.
        nfs = "nfs": Option<NfsVolumeSource>;
        /// A claim of the same namespace.
        persistent_volume_claim = "persistentVolumeClaim": Option<PersistentVolumeClaimVolumeSource>;
        /// A disk of Photon; no node here has it.
        photon_persistent_disk = "photonPersistentDisk": Option<Box<Value>>;
        /// A volume of Portworx; no node here has it.
        portworx_volume = "portworxVolume": Option<Box<Value>>;
        /// Several sources in one folder.
        projected = "projected": Option<ProjectedVolumeSource>;
        /// A volume of Quobyte; no node here has it.
        quobyte = "quobyte": Option<Box<Value>>;
        /// A block device of Ceph; no node here has it.
        rbd = "rbd": Option<Box<Value>>;
        /// A volume of ScaleIO; no node here has it.
        scale_io = "scaleIO": Option<Box<Value>>;
        /// The keys of a Secret as files.
        secret = "secret": Option<SecretVolumeSource>;
        /// A volume of StorageOS; no node here has it.
        storageos = "storageos": Option<Box<Value>>;
        /// A disk of vSphere; no node here has it.
        vsphere_volume = "vsphereVolume": Option<Box<Value>>;
    }

    /// The keys of a ConfigMap as files.
    ConfigMapVolumeSource = "io.k8s.api.core.v1.ConfigMapVolumeSource" {
        /// The files' mode, where none is named.
        default_mode = "defaultMode": Option<i32> [or_number(0o644), within(0, 0o777)];
        /// Which keys under which paths; all by default.
        items = "items": Vec<KeyToPath>;
        /// The object's name.
        name = "name": String;
        /// It may be missing.
        optional = "optional": Option<bool>;
    }

    /// The keys of a Secret as files.
    SecretVolumeSource = "io.k8s.api.core.v1.SecretVolumeSource" {
        /// The files' mode, where none is named.
        default_mode = "defaultMode": Option<i32> [or_number(0o644), within(0, 0o777)];
        /// Which keys under which paths; all by default.
        items = "items": Vec<KeyToPath>;
        /// It may be missing.
        optional = "optional": Option<bool>;
        /// The object's name.
        secret_name = "secretName": String;
    }

    /// A key and the path of its file.
    KeyToPath = "io.k8s.api.core.v1.KeyToPath" {
        /// The key.
        key = "key": String [required];
        /// The file's mode.
        mode = "mode": Option<i32> [within(0, 0o777)];
        /// The path in the volume.
        path = "path": String [required];
    }

    /// Facts about the pod as files.
    DownwardApiVolumeSource = "io.k8s.api.core.v1.DownwardAPIVolumeSource" {
        /// The files' mode, where none is named.
        default_mode = "defaultMode": Option<i32> [or_number(0o644), within(0, 0o777)];
        /// The files.
        items = "items": Vec<DownwardApiVolumeFile>;
    }

    /// A fact about the pod as a file.
    DownwardApiVolumeFile = "io.k8s.api.core.v1.DownwardAPIVolumeFile" {
        /// A field of the pod.
        field_ref = "fieldRef": Option<ObjectFieldSelector>;
        /// The file's mode.
        mode = "mode": Option<i32> [within(0, 0o777)];
        /// The path in the volume.
        path = "path": String [required];
        /// A resource of a container.
        resource_field_ref = "resourceFieldRef": Option<ResourceFieldSelector>;
    }

    /// An empty folder that lives as long as the pod.
    EmptyDirVolumeSource = "io.k8s.api.core.v1.EmptyDirVolumeSource" {
        /// Where it is kept: nothing for the disk, Memory.
        medium = "medium": String [one_of(&["", "Memory"])];
        /// The most it may hold.
        size_limit = "sizeLimit": Option<Quantity>;
    }

    /// A path of the node.
    HostPathVolumeSource = "io.k8s.api.core.v1.HostPathVolumeSource" {
        /// The path.
        path = "path": String [required];
        /// What must be there, or is made there.
        kind = "type": String [or_text(""), one_of(&["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"])];
    }

    /// The files of an image.
    ImageVolumeSource = "io.k8s.api.core.v1.ImageVolumeSource" {
        /// When it is pulled.
        pull_policy = "pullPolicy": String [one_of(&["Always", "IfNotPresent", "Never"])];
        /// The image.
        reference = "reference": String;
    }

    /// A share of an NFS server.
    NfsVolumeSource = "io.k8s.api.core.v1.NFSVolumeSource" {
        /// The path on the server.
        path = "path": String [required];
        /// It cannot be written.
        read_only = "readOnly": bool;
        /// The server.
        server = "server": String [required];
    }

    /// A claim of the same namespace.
    PersistentVolumeClaimVolumeSource = "io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource" {
        /// The claim's name.
        claim_name = "claimName": String [required];
        /// It cannot be written.
        read_only = "readOnly": bool;
    }

    /// Storage from a driver.
    CsiVolumeSource = "io.k8s.api.core.v1.CSIVolumeSource" {
        /// The driver.
        driver = "driver": String [required];
        /// The file system.
        fs_type = "fsType": String;
        /// The Secret that the driver needs.
        node_publish_secret_ref = "nodePublishSecretRef": Option<LocalObjectReference>;
        /// It cannot be written.
        read_only = "readOnly": Option<bool>;
        /// What the driver is told.
        volume_attributes = "volumeAttributes": BTreeMap<String, String>;
    }

    /// Several sources in one folder.
    ProjectedVolumeSource = "io.k8s.api.core.v1.ProjectedVolumeSource" {
        /// The files' mode, where none is named.
        default_mode = "defaultMode": Option<i32> [or_number(0o644), within(0, 0o777)];
        /// The sources.
        sources = "sources": Vec<VolumeProjection>;
    }

    /// One source of a projected volume.
    VolumeProjection = "io.k8s.api.core.v1.VolumeProjection" {
        /// Certificates of authorities; no node here has them.
        cluster_trust_bundle = "clusterTrustBundle": Option<Box<Value>>;
        /// Keys of a ConfigMap.
        config_map = "configMap": Option<KeyProjection>;
        /// Facts about the pod.
        downward_api = "downwardAPI": Option<DownwardApiProjection>;
        /// A certificate of the pod's own; no node here has it.
        pod_certificate = "podCertificate": Option<Box<Value>>;
        /// Keys of a Secret.
        secret = "secret": Option<KeyProjection>;
        /// A token of the pod's service account.
        service_account_token = "serviceAccountToken": Option<ServiceAccountTokenProjection>;
    }

    /// Keys of a ConfigMap or Secret.
    KeyProjection = "io.k8s.api.core.v1.ConfigMapProjection" {
        /// Which keys under which paths; all by default.
        items = "items": Vec<KeyToPath>;
        /// The object's name.
        name = "name": String;
        /// It may be missing.
        optional = "optional": Option<bool>;
    }

    /// Facts about the pod.
    DownwardApiProjection = "io.k8s.api.core.v1.DownwardAPIProjection" {
        /// The files.
        items = "items": Vec<DownwardApiVolumeFile>;
    }

    /// A token of the pod's service account.
    ServiceAccountTokenProjection = "io.k8s.api.core.v1.ServiceAccountTokenProjection" {
        /// Who the token is for.
        audience = "audience": String;
        /// How long it lives.
        expiration_seconds = "expirationSeconds": Option<i64> [or_number(3600), within(600, 1 << 32)];
        /// The path in the volume.
        path = "path": String [required];
    }

    /// An object of the same namespace by name.
    LocalObjectReference = "io.k8s.api.core.v1.LocalObjectReference" {
        /// The name.
        name = "name": String;
    }

    /// Which namespaces and pods a rule looks at, and within what.
    PodAffinityTerm = "io.k8s.api.core.v1.PodAffinityTerm" {
        /// The pods.
        label_selector = "labelSelector": Option<LabelSelector>;
        /// Labels whose values must be those of the pod itself.
        match_label_keys = "matchLabelKeys": Vec<String>;
        /// Labels whose values must not be those of the pod itself.
        mismatch_label_keys = "mismatchLabelKeys": Vec<String>;
        /// Namespaces by their labels.
        namespace_selector = "namespaceSelector": Option<LabelSelector>;
        /// Namespaces by name; the pod's own by default.
        namespaces = "namespaces": Vec<String>;
        /// The node label whose value says which nodes are one place.
        topology_key = "topologyKey": String [required];
    }
}
