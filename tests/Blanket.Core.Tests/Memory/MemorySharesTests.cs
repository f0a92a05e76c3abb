using System;
using System.Linq;
using Blanket.Core.Memory;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Memory;

/// <summary>The policy that moves memory between guests: nothing is counted twice, and nobody gets less than its floor or more than its wish.</summary>
public sealed class MemorySharesTests
{
    private const ulong Kept = 1024;

    [Fact]
    public void TakesInProportionToWhatIsAboveTheFloors()
    {
        MemoryShare[] guests = [Guest(100, 400), Guest(100, 200), Guest(300, 300)];
        Assert.True(MemoryShares.TryTake(guests, 200));
        Assert.Equal([250, 150, 300], guests.Select(guest => guest.Target));
        Assert.False(MemoryShares.TryTake(guests, 201));
        Assert.Equal([250, 150, 300], guests.Select(guest => guest.Target));
        Assert.True(MemoryShares.TryTake(guests, 200));
        Assert.Equal([100, 100, 300], guests.Select(guest => guest.Target));
    }

    [Fact]
    public void GivesBackInProportionToWhatIsLacking()
    {
        MemoryShare[] guests = [Guest(100, 400), Guest(100, 200), Guest(300, 300)];
        Assert.True(MemoryShares.TryTake(guests, 400));
        MemoryShares.Give(guests, 100);
        Assert.Equal([175, 125, 300], guests.Select(guest => guest.Target));
        MemoryShares.Give(guests, 1000);
        Assert.Equal([400, 200, 300], guests.Select(guest => guest.Target));
    }

    /// <summary>What one guest gives up and another does not is each one's own again when it is not needed after all.</summary>
    [Fact]
    public void WithdrawingRestoresWhoFollowedAndWhoDidNot()
    {
        MemoryShare[] guests = [Guest(100, 400), Guest(100, 400)];
        ulong free = Kept;
        Assert.Equal(200UL, MemoryShares.Missing(guests, free, Kept + 200));
        Assert.True(MemoryShares.TryTake(guests, 200));
        free += Follow(ref guests[0]);
        Assert.Equal(0UL, MemoryShares.Missing(guests, free, Kept + 200));
        Assert.Equal(100UL, MemoryShares.Coming(guests));
        MemoryShares.Withdraw(guests);
        MemoryShares.Give(guests, MemoryShares.Spare(guests, free, Kept));
        Assert.Equal([400, 400], guests.Select(guest => guest.Target));
    }

    [Property(MaxTest = 500)]
    public Property TakenAmountsAreExactAndNobodyGoesBelowItsFloor() => Prop.ForAll(Machines(), machine =>
    {
        MemoryShare[] guests = [.. machine.Guests];
        ulong above = MemoryShares.AboveFloors(guests);
        ulong before = Sum(guests);
        bool taken = MemoryShares.TryTake(guests, machine.Amount);
        Assert.Equal(machine.Amount <= above, taken);
        Assert.Equal(before - (taken ? machine.Amount : 0), Sum(guests));
        Assert.All(guests, guest => Assert.InRange(guest.Target, guest.Floor, guest.Wish));
        if (taken && above < 1UL << 32)
        {
            Assert.All(guests.Zip(machine.Guests), pair => RequireProportion(pair.Second.Target - pair.First.Target, pair.Second.Target - pair.Second.Floor, machine.Amount, above, guests.Length));
        }
    });

    [Property(MaxTest = 500)]
    public Property GivenAmountsAreExactAndNobodyGetsMoreThanItsWish() => Prop.ForAll(Machines(), machine =>
    {
        MemoryShare[] guests = [.. machine.Guests];
        ulong lacking = guests.Aggregate(0UL, (sum, guest) => sum + guest.Wish - guest.Target);
        ulong before = Sum(guests);
        MemoryShares.Give(guests, machine.Amount);
        Assert.Equal(before + Math.Min(machine.Amount, lacking), Sum(guests));
        Assert.All(guests.Zip(machine.Guests), pair => Assert.InRange(pair.First.Target, pair.Second.Target, pair.First.Wish));
    });

    /// <summary>
    /// Guests come and go while some follow their targets and some do not. What guests have and may take never exceeds the machine, and when the
    /// machine is theirs alone again, all have what they wish for.
    /// </summary>
    [Property(MaxTest = 300)]
    public Property AMachineIsNeverPromisedTwice() => Prop.ForAll(Histories(), history =>
    {
        MemoryShare[] guests = [.. history.Guests];
        ulong machine = Kept + history.Slack + guests.Aggregate(0UL, (sum, guest) => sum + guest.Owned);
        ulong free = Kept + history.Slack;
        foreach ((ulong need, int followers) in history.Starts)
        {
            ulong missing = MemoryShares.Missing(guests, free, Kept + need);
            bool isAsked = MemoryShares.TryTake(guests, missing);
            for (int i = 0; i < guests.Length; i++)
            {
                free += isAsked && (followers >> i & 1) != 0 ? Follow(ref guests[i]) : 0;
            }

            bool starts = isAsked && free >= Kept + need;
            Assert.True(starts || !isAsked || MemoryShares.Coming(guests) > 0);
            if (starts)
            {
                // It runs and ends.
                free -= need;
                RequireSums(guests, machine - need, free);
                free += need;
            }

            MemoryShares.Withdraw(guests);
            MemoryShares.Give(guests, MemoryShares.Spare(guests, free, Kept));
            Assert.All(guests, guest => Assert.Equal(guest.Wish, guest.Target));
            RequireSums(guests, machine, free);
            for (int i = 0; i < guests.Length; i++)
            {
                free += Follow(ref guests[i]);
            }

            Assert.Equal(Kept + history.Slack, free);
        }
    });

    private sealed record Machine(MemoryShare[] Guests, ulong Amount);

    private sealed record History(MemoryShare[] Guests, ulong Slack, (ulong Need, int Followers)[] Starts);

    private static MemoryShare Guest(ulong floor, ulong wish) => new() { Floor = floor, Wish = wish, Target = wish, Owned = wish };

    private static ulong Sum(MemoryShare[] guests) => guests.Aggregate(0UL, (sum, guest) => sum + guest.Target);

    /// <summary>The guest gives up, or takes, what it is asked to.</summary>
    /// <returns>What the free frames are more, modulo 2^64.</returns>
    private static ulong Follow(ref MemoryShare guest)
    {
        ulong change = unchecked(guest.Owned - guest.Target);
        guest.Owned = guest.Target;
        return change;
    }

    private static void RequireSums(MemoryShare[] guests, ulong machine, ulong free)
    {
        Assert.Equal(machine, free + guests.Aggregate(0UL, (sum, guest) => sum + guest.Owned));
        Assert.True(guests.Aggregate(0UL, (sum, guest) => sum + Math.Max(guest.Owned, guest.Target)) + Kept <= machine);
    }

    // Each part is rounded down, and so are the amount and the weights that the next one is computed of.
    private static void RequireProportion(ulong part, ulong weight, ulong amount, ulong weights, int guests)
    {
        decimal exact = weights == 0 ? 0 : (decimal)amount * weight / weights;
        Assert.True(Math.Abs(part - exact) <= guests, $"{part} of {amount}, {exact} expected");
    }

    private static Gen<ulong> Frames(int bits) => ArbMap.Default.GeneratorFor<ulong>().Select(value => value & ((1UL << bits) - 1));

    private static Gen<MemoryShare> Shares(int bits) =>
        from floor in Frames(bits)
        from above in Frames(bits)
        from lacking in Frames(bits)
        select new MemoryShare { Floor = floor, Target = floor + above, Wish = floor + above + lacking, Owned = floor + above };

    private static Arbitrary<Machine> Machines() =>
        (from bits in Gen.Elements(4, 16, 32)
         from count in Gen.Choose(0, 8)
         from guests in Shares(bits).ArrayOf(count)
         from amount in Frames(bits + 2)
         select new Machine(guests, amount)).ToArbitrary();

    private static Arbitrary<History> Histories() =>
        (from count in Gen.Choose(1, 6)
         from shares in Shares(12).ArrayOf(count)
         from slack in Frames(10)
         from starts in (from need in Frames(13) from followers in Gen.Choose(0, 63) select (need, followers)).ListOf()
         select new History([.. shares.Select(share => Guest(share.Floor, share.Wish))], slack, [.. starts])).ToArbitrary();
}
