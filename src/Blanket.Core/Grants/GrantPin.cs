using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>A granted frame that a service holds.</summary>
public readonly struct PinnedGrant
{
    internal PinnedGrant(uint reference, bool isWritable, in AcquiredGrant grant)
    {
        Reference = reference;
        IsWritable = isWritable;
        Frame = grant.Frame;
        Offset = grant.Start;
        Length = grant.Length;
    }

    /// <summary>The frame number.</summary>
    public ulong Frame { get; }

    /// <summary>The grant reference.</summary>
    public uint Reference { get; }

    /// <summary>First byte of the frame that may be used: 0 but for version 2 sub-page grants.</summary>
    public ushort Offset { get; }

    /// <summary>Bytes from <see cref="Offset"/> on that may be used: 4,096 but for version 2 sub-page grants.</summary>
    public ushort Length { get; }

    /// <summary>Whether it may be written, by CPU or device.</summary>
    public bool IsWritable { get; }

    /// <summary>Whether a range of the frame may be used.</summary>
    public bool Covers(uint offset, uint length) =>
        offset >= Offset && length <= Length && offset - Offset <= Length - length;
}

/// <summary>
/// Grants of guests in use by the built-in services: the frame of a grant, held for exactly the time of a request.
/// O(1), no allocation; may be called with locks up to class Driver held, and whatever the guest does meanwhile.
/// </summary>
public static class GrantPin
{
    /// <summary>
    /// Takes a grant to <see cref="DomainId.Services"/> as a mapping does: the entry shows it as in use, the frame stays what and whose it is.
    /// </summary>
    /// <param name="granter">The guest.</param>
    /// <param name="reference">Its grant reference.</param>
    /// <param name="writable">For writing too; a read-only grant refuses that.</param>
    /// <param name="pin">What <see cref="Unpin"/> needs.</param>
    /// <returns>0; -ENOENT for a bad reference; -EACCES when the entry does not allow it; -EFAULT for a frame that is not the guest's.</returns>
    public static int TryPin(Domain granter, uint reference, bool writable, out PinnedGrant pin)
    {
        pin = default;
        if (granter.Grants == null)
        {
            return -Errno.ENOENT;
        }

        short status = granter.Grants.Acquire(
            DomainId.Services, reference, GrantUse.Access(!writable), allowTransitive: false, out AcquiredGrant grant);
        if (status != GrantTableStatus.Okay)
        {
            return ToErrno(status);
        }

        pin = new PinnedGrant(reference, writable, in grant);
        return 0;
    }

    /// <summary>Gives a grant back, exactly once; also after the guest died (its <see cref="GrantTable.EntriesInUse"/> keeps it).</summary>
    public static void Unpin(Domain granter, in PinnedGrant pin)
    {
        Check.That(granter.Grants != null);
        granter.Grants.Release(pin.Reference, GrantUse.Access(!pin.IsWritable), pin.Frame);
    }

    /// <summary>Pins the pages of a request, as <see cref="TryPin"/> each of them, with few acquisitions of the table's lock.</summary>
    /// <param name="granter">The guest.</param>
    /// <param name="writable">For writing too.</param>
    /// <param name="segments">References and ranges, complete and checked; the frames are filled in. As many as one request has.</param>
    /// <returns>0, or the errno of the first that cannot be pinned, -EACCES also for one that does not grant the range; nothing is pinned then.</returns>
    public static int TryPinAll(Domain granter, bool writable, Span<PinnedSegment> segments)
    {
        if (granter.Grants == null)
        {
            return -Errno.ENOENT;
        }

        int pinned = 0;
        while (true)
        {
            pinned += granter.Grants.AcquirePages(DomainId.Services, GrantUse.Access(!writable), segments.Slice(pinned));
            if (pinned == segments.Length)
            {
                return 0;
            }

            int error = TryPinOne(granter, writable, ref segments[pinned]);
            if (error != 0)
            {
                UnpinAll(granter, writable, segments.Slice(0, pinned));
                return error;
            }

            pinned++;
        }
    }

    /// <summary>Gives back what <see cref="TryPinAll"/> took, exactly once.</summary>
    public static void UnpinAll(Domain granter, bool writable, ReadOnlySpan<PinnedSegment> segments)
    {
        Check.That(granter.Grants != null);
        GrantUse use = GrantUse.Access(!writable);

        // The flags go last: when the guest sees them clear, it may use the frames for anything else.
        for (int i = 0; i < segments.Length; i++)
        {
            GrantTable.PutFrame(use, segments[i].Frame);
        }

        int released = 0;
        while (true)
        {
            released += granter.Grants.ReleasePages(use, segments.Slice(released));
            if (released == segments.Length)
            {
                return;
            }

            granter.Grants.ReleaseUse(segments[released].Reference, use);
            released++;
        }
    }

    private static int TryPinOne(Domain granter, bool writable, ref PinnedSegment segment)
    {
        int error = TryPin(granter, segment.Reference, writable, out PinnedGrant pin);
        if (error != 0)
        {
            return error;
        }

        if (!pin.Covers(segment.Offset, segment.Length))
        {
            Unpin(granter, in pin);
            return -Errno.EACCES;
        }

        segment.Frame = pin.Frame;
        return 0;
    }

    internal static int ToErrno(short status) => status switch
    {
        GrantTableStatus.Okay => 0,
        GrantTableStatus.BadReference => -Errno.ENOENT,
        GrantTableStatus.BadPage => -Errno.EFAULT,
        GrantTable.Busy => -Errno.EAGAIN,
        _ => -Errno.EACCES,
    };
}
