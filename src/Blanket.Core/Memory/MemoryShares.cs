using System;
using System.Numerics;

namespace Blanket.Core.Memory;

/// <summary>
/// How guests share the machine's memory (docs/management.md, "Memory"): what somebody needs is taken from the guests in proportion to what each has
/// above its floor, and what is left over is given back in proportion to what each lacks. Nothing here reads or changes a guest.
/// </summary>
public static class MemoryShares
{
    // Products of two numbers of so many bits fit.
    private const int FactorBits = 32;

    /// <summary>Frames that will be missing once all guests have what they are asked to have.</summary>
    /// <param name="guests">All that have frames.</param>
    /// <param name="free">Frames that are free.</param>
    /// <param name="kept">Frames that have to be free then.</param>
    public static ulong Missing(ReadOnlySpan<MemoryShare> guests, ulong free, ulong kept)
    {
        ulong have = free;
        ulong need = kept;
        foreach (ref readonly MemoryShare guest in guests)
        {
            have += guest.Owned;
            need += guest.Target;
        }

        return need > have ? need - have : 0;
    }

    /// <summary>Frames that no guest has or may still take; those of a guest that has more than it is asked to have are its own.</summary>
    /// <param name="guests">All that have frames.</param>
    /// <param name="free">Frames that are free.</param>
    /// <param name="kept">Frames that have to stay free.</param>
    public static ulong Spare(ReadOnlySpan<MemoryShare> guests, ulong free, ulong kept)
    {
        ulong promised = kept;
        foreach (ref readonly MemoryShare guest in guests)
        {
            promised += guest.Target > guest.Owned ? guest.Target - guest.Owned : 0;
        }

        return free > promised ? free - promised : 0;
    }

    /// <summary>Frames that guests have more than they are asked to have: they will come back.</summary>
    public static ulong Coming(ReadOnlySpan<MemoryShare> guests)
    {
        ulong coming = 0;
        foreach (ref readonly MemoryShare guest in guests)
        {
            coming += guest.Owned > guest.Target ? guest.Owned - guest.Target : 0;
        }

        return coming;
    }

    /// <summary>Frames that guests are asked to have above their floors.</summary>
    public static ulong AboveFloors(ReadOnlySpan<MemoryShare> guests)
    {
        ulong above = 0;
        foreach (ref readonly MemoryShare guest in guests)
        {
            above += guest.Target - guest.Floor;
        }

        return above;
    }

    /// <summary>Lowers targets by an amount together, each in proportion to what it is above its guest's floor.</summary>
    /// <returns>False, and nothing changes, when all together are not so far above the floors.</returns>
    public static bool TryTake(Span<MemoryShare> guests, ulong amount)
    {
        ulong above = AboveFloors(guests);
        if (above < amount)
        {
            return false;
        }

        foreach (ref MemoryShare guest in guests)
        {
            ulong weight = guest.Target - guest.Floor;
            ulong part = TakePart(ref amount, weight, ref above);
            guest.Target -= part;
        }

        return true;
    }

    /// <summary>Raises targets by an amount together, each in proportion to what its guest lacks, to the wishes at most.</summary>
    public static void Give(Span<MemoryShare> guests, ulong amount)
    {
        ulong lacking = 0;
        foreach (ref readonly MemoryShare guest in guests)
        {
            lacking += guest.Wish - guest.Target;
        }

        amount = Math.Min(amount, lacking);
        foreach (ref MemoryShare guest in guests)
        {
            ulong weight = guest.Wish - guest.Target;
            guest.Target += TakePart(ref amount, weight, ref lacking);
        }
    }

    /// <summary>Takes back what guests have been asked for and still have.</summary>
    public static void Withdraw(Span<MemoryShare> guests)
    {
        foreach (ref MemoryShare guest in guests)
        {
            guest.Target = Math.Max(guest.Target, Math.Min(guest.Owned, guest.Wish));
        }
    }

    /// <summary>One part of an amount by its weight; the parts together are the amount, and none is more than its weight.</summary>
    private static ulong TakePart(ref ulong amount, ulong weight, ref ulong weights)
    {
        int shift = Math.Max(0, BitOperations.Log2(weights | 1) + 1 - FactorBits);
        ulong part = weights >> shift == 0 ? 0 : ((amount >> shift) * (weight >> shift) / (weights >> shift)) << shift;
        ulong others = weights - weight;
        part = Math.Max(part, amount > others ? amount - others : 0);
        part = Math.Min(part, Math.Min(weight, amount));
        amount -= part;
        weights = others;
        return part;
    }
}
