using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Blanket.Lab.Bench;
using Blanket.Lab.Qemu;

namespace Blanket.Boot.Tests;

public sealed class DensityTests
{
    private const int Guests = 6;

    /// <summary>
    /// Guests that are added to a running machine one after the other all answer ping at the end, and nothing is left when all are destroyed: what
    /// <c>bench --guests</c> does, with Debian's kernel, because the one for guests of 32 MiB takes minutes to compile. The balloon gives
    /// back what a guest needed only to start.
    /// </summary>
    [Fact]
    public async Task AddedGuestsAllAnswerPingAndLeaveNothing()
    {
        BootDirectory directory = BootDirectory.For(nameof(AddedGuestsAllAnswerPingAndLeaveNothing));
        DensityGuest guest = await DensityGuest.PrepareStockAsync(static _ => { }, default);
        Accelerator accelerator = await AcceleratorProbe.ProbeAsync(default);
        List<DensityStep> steps = [];

        // Fails when a guest does not answer.
        await new GuestDensity(guest, BootDirectory.Image, guest.StartMemoryMiB, guest.KeptMemoryMiB, directory.Root)
            .RunAsync(Guests, accelerator, steps.Add, default);

        Assert.Equal(Enumerable.Range(1, Guests), steps.Select(step => step.Guests));
        long perGuest = (steps[0].FreeKiB - steps[^1].FreeKiB) / (Guests - 1);
        Assert.InRange(perGuest, 0, guest.StartMemoryMiB << 10);
        Audit.RequireNothingLeft(directory);
    }
}
