using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>MMUEXT_CLEAR_PAGE and MMUEXT_COPY_PAGE: whole frames of a domain, written on its behalf.</summary>
internal static class FrameContents
{
    /// <summary>Fills a frame with zeroes.</summary>
    /// <returns>0, or -EINVAL when the frame is not the domain's or must not be written.</returns>
    internal static int Clear(Domain owner, ulong frame)
    {
        if (!FrameReference.TryGetWritable(owner, frame))
        {
            return -Errno.EINVAL;
        }

        PhysicalMemory.ZeroFrame(frame);
        FrameReference.PutWritable(frame);
        return 0;
    }

    /// <summary>Copies a frame.</summary>
    /// <returns>0, or -EINVAL when a frame is not the domain's or the destination must not be written.</returns>
    internal static int Copy(Domain owner, ulong destination, ulong source)
    {
        if (!FrameReference.TryGet(owner, source))
        {
            return -Errno.EINVAL;
        }

        bool writable = FrameReference.TryGetWritable(owner, destination);
        if (writable)
        {
            PhysicalMemory.CopyFrame(destination, source);
            FrameReference.PutWritable(destination);
        }

        FrameReference.Put(source);
        return writable ? 0 : -Errno.EINVAL;
    }
}
