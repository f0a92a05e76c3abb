namespace Blanket.Core.Bundles;

/// <summary>Outcome of reading a boot bundle.</summary>
public enum BundleStatus
{
    /// <summary>The bundle is valid.</summary>
    Ok = 0,

    /// <summary>Fewer bytes than a header has, or fewer than the header says.</summary>
    Truncated,

    /// <summary>Not a boot bundle.</summary>
    BadMagic,

    /// <summary>A boot bundle of another version.</summary>
    BadVersion,

    /// <summary>A size in the header that cannot be.</summary>
    BadHeader,

    /// <summary>The metadata is not what the writer wrote.</summary>
    BadChecksum,

    /// <summary>A table that is misaligned, too long, or not inside the metadata.</summary>
    BadTable,

    /// <summary>A blob that is misaligned, empty, out of bounds or overlaps another.</summary>
    BadBlob,

    /// <summary>Options that are too long, contain NUL, or are not in the blob table.</summary>
    BadOptions,

    /// <summary>A guest with a value out of its range.</summary>
    BadGuest,

    /// <summary>A guest's records do not continue where those of the guest before it end.</summary>
    BadPartition,

    /// <summary>A disk with a value out of its range, or one that its guest or another has already.</summary>
    BadDisk,

    /// <summary>A vif with a value out of its range, or one that its guest or another has already.</summary>
    BadVif,

    /// <summary>A bridge with a value out of its range, or with the name or NIC of another.</summary>
    BadBridge,

    /// <summary>An affinity mask without a CPU.</summary>
    BadAffinity,

    /// <summary>Two guests of one name or on one console port.</summary>
    DuplicateGuest,
}
