namespace Blanket.Abi;

/// <summary>Message types of the xenstore protocol: <c>enum xsd_sockmsg_type</c> of io/xs_wire.h.</summary>
public enum XenStoreMessage : uint
{
    /// <summary>XS_CONTROL, once XS_DEBUG: commands to the store itself.</summary>
    Control = 0,

    /// <summary>XS_DIRECTORY: names of a node's children.</summary>
    Directory = 1,

    /// <summary>XS_READ: a node's value.</summary>
    Read = 2,

    /// <summary>XS_GET_PERMS: a node's permissions.</summary>
    GetPermissions = 3,

    /// <summary>XS_WATCH: tell the caller of changes at and below a path.</summary>
    Watch = 4,

    /// <summary>XS_UNWATCH: the end of one watch.</summary>
    Unwatch = 5,

    /// <summary>XS_TRANSACTION_START.</summary>
    TransactionStart = 6,

    /// <summary>XS_TRANSACTION_END: commit or abandon.</summary>
    TransactionEnd = 7,

    /// <summary>XS_INTRODUCE: talk to a domain from now on.</summary>
    Introduce = 8,

    /// <summary>XS_RELEASE: talk to a domain no more.</summary>
    Release = 9,

    /// <summary>XS_GET_DOMAIN_PATH: a domain's home path.</summary>
    GetDomainPath = 10,

    /// <summary>XS_WRITE: set a node's value, making the node.</summary>
    Write = 11,

    /// <summary>XS_MKDIR: make a node.</summary>
    MakeDirectory = 12,

    /// <summary>XS_RM: remove a node and all below it.</summary>
    Remove = 13,

    /// <summary>XS_SET_PERMS: replace a node's permissions.</summary>
    SetPermissions = 14,

    /// <summary>XS_WATCH_EVENT: from the store only.</summary>
    WatchEvent = 15,

    /// <summary>XS_ERROR: from the store only; the payload is an error's name.</summary>
    Error = 16,

    /// <summary>XS_IS_DOMAIN_INTRODUCED.</summary>
    IsDomainIntroduced = 17,

    /// <summary>XS_RESUME: a domain that was shut down runs again.</summary>
    Resume = 18,

    /// <summary>XS_SET_TARGET: give a domain another domain's rights.</summary>
    SetTarget = 19,

    // 20 was XS_RESTRICT, which has been removed.

    /// <summary>XS_RESET_WATCHES: the end of all watches and transactions of the caller.</summary>
    ResetWatches = 21,

    /// <summary>XS_DIRECTORY_PART: names of a node's children from an offset on.</summary>
    DirectoryPart = 22,
}

/// <summary>
/// Errors of the xenstore protocol with Xen's errno values (errno.h). They travel as names:
/// <c>xsd_errors[]</c> of io/xs_wire.h.
/// </summary>
public enum XenStoreError
{
    /// <summary>Success.</summary>
    None = 0,

    /// <summary>EPERM: only a privileged caller may do this.</summary>
    NotPermitted = 1,

    /// <summary>ENOENT: no such node, transaction, watch or domain.</summary>
    NotFound = 2,

    /// <summary>EIO: the store or a device failed.</summary>
    InputOutput = 5,

    /// <summary>E2BIG: the reply would not fit, or there are too many watches.</summary>
    TooBig = 7,

    /// <summary>EAGAIN: a transaction met a conflicting change and is to be repeated.</summary>
    Again = 11,

    /// <summary>ENOMEM: the store or the caller's share of it is full.</summary>
    NoMemory = 12,

    /// <summary>EACCES: the node's permissions do not allow this.</summary>
    AccessDenied = 13,

    /// <summary>EBUSY: already under way.</summary>
    Busy = 16,

    /// <summary>EEXIST: there is one already.</summary>
    Exists = 17,

    /// <summary>EISDIR: meant for something that is not a directory.</summary>
    IsDirectory = 21,

    /// <summary>EINVAL: malformed request or argument.</summary>
    Invalid = 22,

    /// <summary>ENOSPC: a quota is used up.</summary>
    NoSpace = 28,

    /// <summary>EROFS: read-only.</summary>
    ReadOnly = 30,

    /// <summary>ENOSYS: unknown request.</summary>
    NotImplemented = 38,

    /// <summary>ENOTEMPTY: a node has children.</summary>
    NotEmpty = 39,

    /// <summary>EISCONN: already connected.</summary>
    IsConnected = 106,
}

/// <summary>Numbers of the xenstore protocol and of its shared page (io/xs_wire.h, docs/misc/xenstore-ring.txt).</summary>
public static class XenStoreWire
{
    /// <summary>Bytes of <c>struct xsd_sockmsg</c>: type, req_id, tx_id and len, each a little-endian uint32_t.</summary>
    public const int HeaderSize = 16;

    /// <summary>Offset of <c>type</c> in a header.</summary>
    public const int HeaderType = 0;

    /// <summary>Offset of <c>req_id</c> in a header.</summary>
    public const int HeaderRequest = 4;

    /// <summary>Offset of <c>tx_id</c> in a header.</summary>
    public const int HeaderTransaction = 8;

    /// <summary>Offset of <c>len</c> in a header.</summary>
    public const int HeaderLength = 12;

    /// <summary>XENSTORE_PAYLOAD_MAX: bytes after a header at most; more is a protocol violation.</summary>
    public const int PayloadMax = 4096;

    /// <summary>XENSTORE_ABS_PATH_MAX: bytes of an absolute path at most.</summary>
    public const int AbsolutePathMax = 3072;

    /// <summary>XENSTORE_REL_PATH_MAX: bytes of a path below a domain's home at most.</summary>
    public const int RelativePathMax = 2048;

    /// <summary>XENSTORE_RING_SIZE: bytes of each of the two rings; a power of two.</summary>
    public const int RingSize = 1024;

    /// <summary>Offset of <c>req</c>, bytes to the store, in the interface page.</summary>
    public const int RequestRing = 0;

    /// <summary>Offset of <c>rsp</c>, bytes to the domain.</summary>
    public const int ResponseRing = 1024;

    /// <summary>Offset of <c>req_cons</c>, written by the store.</summary>
    public const int RequestConsumer = 2048;

    /// <summary>Offset of <c>req_prod</c>, written by the domain.</summary>
    public const int RequestProducer = 2052;

    /// <summary>Offset of <c>rsp_cons</c>, written by the domain.</summary>
    public const int ResponseConsumer = 2056;

    /// <summary>Offset of <c>rsp_prod</c>, written by the store.</summary>
    public const int ResponseProducer = 2060;

    /// <summary>Offset of <c>server_features</c>, written by the store.</summary>
    public const int ServerFeatures = 2064;

    /// <summary>Offset of <c>connection</c>: <see cref="Connected"/> or <see cref="Reconnect"/>.</summary>
    public const int Connection = 2068;

    /// <summary>Offset of <c>error</c>, written by the store.</summary>
    public const int ConnectionError = 2072;

    /// <summary>XENSTORE_SERVER_FEATURE_RECONNECTION: the domain may ask for a new connection.</summary>
    public const uint FeatureReconnection = 1;

    /// <summary>XENSTORE_SERVER_FEATURE_ERROR: the page has a valid error field.</summary>
    public const uint FeatureError = 2;

    /// <summary>Bit 2 of the feature bitmap (xenstore-ring.txt): WATCH takes a depth.</summary>
    public const uint FeatureWatchDepth = 4;

    /// <summary>XENSTORE_CONNECTED: the steady state.</summary>
    public const uint Connected = 0;

    /// <summary>XENSTORE_RECONNECT: the domain waits for a new connection.</summary>
    public const uint Reconnect = 1;

    /// <summary>XENSTORE_ERROR_NONE.</summary>
    public const uint ErrorNone = 0;

    /// <summary>XENSTORE_ERROR_COMM: the event channel does not work.</summary>
    public const uint ErrorCommunication = 1;

    /// <summary>XENSTORE_ERROR_RINGIDX: producer and consumer are further apart than the ring is long.</summary>
    public const uint ErrorRingIndex = 2;

    /// <summary>XENSTORE_ERROR_PROTO: a payload longer than <see cref="PayloadMax"/>.</summary>
    public const uint ErrorProtocol = 3;
}
