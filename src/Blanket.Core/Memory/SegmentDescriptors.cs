using System;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// What guests may have in their descriptor tables (Intel SDM vol. 3, 3.4.5 and 5.8.3), and the frame type for it. Guests run in
/// ring 3: a present descriptor is made to be for ring 3, or it is refused.
/// </summary>
internal static class SegmentDescriptors
{
    private const ulong PresentBit = 1UL << 47;
    private const ulong CodeOrDataBit = 1UL << 44;
    private const int TypeShift = 40;
    private const ulong PrivilegeMask = 3UL << 45;
    private const ulong CallGateType = 0xc;
    private const int LocalTableBit = 4;


    /// <summary>Makes a descriptor safe, or refuses it.</summary>
    internal static bool TryFix(ref ulong descriptor)
    {
        ulong value = descriptor;
        if ((value & PresentBit) == 0)
        {
            // Always faults.
            return true;
        }

        if ((value & CodeOrDataBit) != 0)
        {
            descriptor = value | PrivilegeMask;
            return true;
        }

        ulong type = value >> TypeShift & 15;
        if (type == 0)
        {
            // Upper half of a call gate.
            return true;
        }

        if (type != CallGateType)
        {
            return false;
        }

        ulong selector = value >> 16 & 0xffff;
        if (!IsGateTargetAllowed((ushort)selector) || (value >> 32 & 0xff) != 0)
        {
            return false;
        }

        // A gate of privilege 0 faults when it is used; the privilege that it would have stays in the selector.
        descriptor = (value & ~(PrivilegeMask | 0xffff0000UL)) | ((selector | 3) << 16);
        return true;
    }

    /// <summary>Takes a reference and a type count on a frame for use in a GDT or LDT; the page-table lock is held.</summary>
    internal static bool TryGetFrame(Domain domain, ulong frame)
    {
        if (!FrameReference.TryGet(domain, frame))
        {
            return false;
        }

        if (TryGetType(domain, frame))
        {
            return true;
        }

        FrameReference.Put(frame);
        return false;
    }

    /// <summary>Drops what <see cref="TryGetFrame"/> took.</summary>
    internal static void PutFrame(ulong frame)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        WritableType.Put(ref info);
        ReferenceCount.Put(frame, ref info);
    }

    /// <summary>Takes a type count on a frame on which there is a reference; the page-table lock is held.</summary>
    internal static bool TryGetType(Domain domain, ulong frame)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        while (true)
        {
            ulong type = Volatile.Read(ref info.Type);
            ulong count = type & FrameType.CountMask;
            bool same = (type & FrameType.Mask) == FrameType.SegmentDescriptors;
            if (same && (type & FrameType.Validated) != 0 && count != FrameType.CountMask)
            {
                // With count 0 it has been nothing else since it was validated.
                if (Interlocked.CompareExchange(ref info.Type, type + 1, type) == type)
                {
                    return true;
                }

                continue;
            }

            if (count != 0)
            {
                return false;
            }

            if (Interlocked.CompareExchange(ref info.Type, FrameType.SegmentDescriptors | 1, type) == type)
            {
                return Validate(domain, frame, ref info, type);
            }
        }
    }

    private static bool Validate(Domain domain, ulong frame, ref FrameInfo info, ulong former)
    {
        if ((former & FrameType.Mask) is not FrameType.None and not FrameType.SegmentDescriptors)
        {
            TlbFlush.BeforeTypeChange(domain, ref info);
        }

        bool valid = true;
        Span<ulong> descriptors = PhysicalMemory.FrameAs<ulong>(frame);
        for (int i = 0; i < descriptors.Length && valid; i++)
        {
            valid = TryFix(ref descriptors[i]);
        }

        if (valid)
        {
            Volatile.Write(ref info.Type, FrameType.SegmentDescriptors | FrameType.Validated | 1);
        }
        else
        {
            TlbClock.Stamp(ref info);
            Volatile.Write(ref info.Type, FrameType.SegmentDescriptors);
        }

        return valid;
    }

    private static bool IsGateTargetAllowed(ushort selector) =>
        (selector & LocalTableBit) != 0 || selector >> 3 < Selector.FirstReservedGdtEntry || selector == Selector.FlatCode64;
}
