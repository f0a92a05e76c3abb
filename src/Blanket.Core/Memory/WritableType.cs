using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>Type counts for writable use of frames: mappings, devices, and what the hypervisor writes for a guest.</summary>
internal static class WritableType
{
    /// <summary>Takes a type count on a frame on which the caller has a reference.</summary>
    /// <returns>False when the frame is in use as something that must not be written.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryGet(ref FrameInfo info) => TryGetAtOnce(ref info) || TryGetSlowly(ref info);

    /// <summary>Takes a type count on a frame that is writable already, without waiting for anything: locks may be held.</summary>
    /// <returns>False when it is not, or somebody changes it just now.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryGetAtOnce(ref FrameInfo info)
    {
        ulong type = Volatile.Read(ref info.Type);
        return IsWritable(type)
            && (type & FrameType.CountMask) != FrameType.CountMask
            && Interlocked.CompareExchange(ref info.Type, type + 1, type) == type;
    }

    private static bool IsWritable(ulong type) =>
        (type & (FrameType.Mask | FrameType.Validated)) == (FrameType.Writable | FrameType.Validated);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryGetSlowly(ref FrameInfo info)
    {
        ulong type = Volatile.Read(ref info.Type);
        while (true)
        {
            ulong next;
            if (IsWritable(type))
            {
                if ((type & FrameType.CountMask) == FrameType.CountMask)
                {
                    return false;
                }

                next = type + 1;
            }
            else if ((type & FrameType.CountMask) == 0)
            {
                // Not validated until no TLB holds what the frame was before.
                next = (type & FrameType.Mask) == FrameType.None
                    ? FrameType.Writable | FrameType.Validated | 1
                    : FrameType.Writable | 1;
            }
            else if ((type & FrameType.Mask) == FrameType.Writable)
            {
                // Another CPU flushes for it just now.
                CpuRequests.Service();
                Cpu.Pause();
                type = Volatile.Read(ref info.Type);
                continue;
            }
            else
            {
                return false;
            }

            ulong seen = Interlocked.CompareExchange(ref info.Type, next, type);
            if (seen != type)
            {
                type = seen;
                continue;
            }

            if ((next & FrameType.Validated) == 0)
            {
                TlbFlush.BeforeTypeChange(FrameOwners.Of(in info), ref info);
                Volatile.Write(ref info.Type, next | FrameType.Validated);
            }

            return true;
        }
    }

    /// <summary>Drops a type count.</summary>
    internal static void Put(ref FrameInfo info)
    {
        ulong type = Volatile.Read(ref info.Type);
        while (true)
        {
            Check.That((type & FrameType.CountMask) != 0);
            if ((type & FrameType.CountMask) == 1)
            {
                TlbClock.Stamp(ref info);
            }

            ulong seen = Interlocked.CompareExchange(ref info.Type, type - 1, type);
            if (seen == type)
            {
                return;
            }

            type = seen;
        }
    }
}
