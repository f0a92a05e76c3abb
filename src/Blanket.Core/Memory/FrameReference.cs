using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// References on guests' frames from elsewhere in the hypervisor: grants, requests in flight, registered areas. A frame with
/// a reference stays its owner's; a frame with a writable reference moreover never becomes a page table or descriptor table.
/// No lock is needed.
/// </summary>
public static class FrameReference
{
    /// <summary>Takes a reference for reading.</summary>
    /// <returns>False when the frame is not that domain's.</returns>
    public static bool TryGet(Domain domain, ulong frame) =>
        FrameTable.IsValid(frame) && ReferenceCount.TryGet(frame, ref FrameTable.Of(frame), domain.Id);

    /// <summary>Takes a reference for writing, by a CPU or a device.</summary>
    /// <returns>False when the frame is not that domain's, or is in use as something that must not be written.</returns>
    public static bool TryGetWritable(Domain domain, ulong frame)
    {
        if (!TryGet(domain, frame))
        {
            return false;
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        if (WritableType.TryGet(ref info))
        {
            return true;
        }

        Put(frame);
        return false;
    }

    /// <summary>Drops what <see cref="TryGet"/> took.</summary>
    public static void Put(ulong frame)
    {
        ReferenceCount.Put(frame, ref FrameTable.Of(frame));
        FrameQuarantine.Drain();
    }

    /// <summary>Drops what <see cref="TryGetWritable"/> took.</summary>
    public static void PutWritable(ulong frame)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        WritableType.Put(ref info);
        ReferenceCount.Put(frame, ref info);
        FrameQuarantine.Drain();
    }
}
