using System;
using Blanket.Abi;

namespace Blanket.Drivers.Xen;

/// <summary>Errors of xenstore by the names under which they travel: <c>xsd_errors[]</c> of io/xs_wire.h.</summary>
internal static class StoreErrorNames
{
    /// <summary>The error of a name; InputOutput for one that is not known.</summary>
    internal static XenStoreError Parse(ReadOnlySpan<byte> payload)
    {
        int end = payload.IndexOf((byte)0);
        ReadOnlySpan<byte> name = end < 0 ? payload : payload.Slice(0, end);
        return name.SequenceEqual("ENOENT"u8) ? XenStoreError.NotFound
            : name.SequenceEqual("EAGAIN"u8) ? XenStoreError.Again
            : name.SequenceEqual("EACCES"u8) ? XenStoreError.AccessDenied
            : name.SequenceEqual("EINVAL"u8) ? XenStoreError.Invalid
            : name.SequenceEqual("EEXIST"u8) ? XenStoreError.Exists
            : name.SequenceEqual("ENOSPC"u8) ? XenStoreError.NoSpace
            : name.SequenceEqual("ENOSYS"u8) ? XenStoreError.NotImplemented
            : name.SequenceEqual("ENOMEM"u8) ? XenStoreError.NoMemory
            : name.SequenceEqual("EBUSY"u8) ? XenStoreError.Busy
            : name.SequenceEqual("E2BIG"u8) ? XenStoreError.TooBig
            : name.SequenceEqual("EPERM"u8) ? XenStoreError.NotPermitted
            : XenStoreError.InputOutput;
    }
}
