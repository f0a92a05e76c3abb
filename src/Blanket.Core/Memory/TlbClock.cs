using System.Threading;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Orders TLB flushes and the ends of frames' uses, so that a flush that has happened anyway need not be repeated.
/// A frame is stamped when its type count becomes 0; a CPU whose last flush began after that holds no translation of that use.
/// </summary>
public static class TlbClock
{
    private static ulong s_now;
    private static ulong[]? s_flushed;

    /// <summary>Once at boot, in an allocation scope.</summary>
    internal static void Initialize()
    {
        s_flushed = new ulong[Cpu.MaximumCpus];
        s_now = 1;
    }

    /// <summary>The time now.</summary>
    internal static ulong Now => Volatile.Read(ref s_now);

    /// <summary>Time of a flush that is about to begin; a full memory barrier.</summary>
    internal static ulong Tick() => Interlocked.Increment(ref s_now);

    /// <summary>Notes that a flush of a CPU which began at <paramref name="time"/> is complete.</summary>
    internal static void Flushed(int cpu, ulong time) => Volatile.Write(ref s_flushed![cpu], time);

    /// <summary>Whether a CPU has not flushed its TLB since a time.</summary>
    internal static bool IsStale(int cpu, ulong since) => Volatile.Read(ref s_flushed![cpu]) <= since;

    /// <summary>
    /// Notes in a frame's record that the last use as its type ends now. Call before the type count becomes 0; the stamp shares
    /// its place with <see cref="TableProgress"/> and the linear count, which have no meaning while the count is 0.
    /// </summary>
    internal static void Stamp(ref FrameInfo info)
    {
        // The entry that ends with this use must be seen by all page walks before the time is taken: a CPU that flushes in
        // between could otherwise fill its TLB from the old entry and pass for clean.
        Interlocked.MemoryBarrier();
        uint now = unchecked((uint)Now);
        info.ValidatedEntries = unchecked((ushort)now);
        info.PartialFlags = (ushort)(now >> 16);
    }

    /// <summary>When a frame was stamped. The record keeps 32 bits; an older stamp is taken for a newer one, which is safe.</summary>
    internal static ulong StampOf(ref FrameInfo info)
    {
        ulong now = Now;
        uint stamp = info.ValidatedEntries | (uint)info.PartialFlags << 16;
        uint age = unchecked((uint)now - stamp);
        return age > now ? 0 : now - age;
    }
}
