using System;
using System.Collections.Generic;
using System.Threading;
using Blanket.Drivers.Pci;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Drivers.Virtio;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Drivers.Tests;

public sealed class VirtqueueTests
{
    private const ulong Modern = VirtioFeature.Version1;
    private readonly FakeMachine _machine = new(512);

    private static (Virtqueue Ring, FakeVirtioQueue Device) Build(
        ushort size, int capacity, int tableCapacity, ulong features, VirtioHealth? health = null)
    {
        VirtqueueLayout layout = VirtqueueLayout.Of(0, size, capacity, tableCapacity, features);
        DmaMemory ring = DmaMemory.Create(layout.RingBytes, ulong.MaxValue)!;
        DmaMemory tables = DmaMemory.Create(Math.Max(layout.TableBytes, 1), ulong.MaxValue)!;
        Virtqueue queue = new(in layout, health ?? new VirtioHealth(default), ring.Address, tables.Address, LockClass.Driver);
        FakeVirtioQueue device = new()
        {
            Size = queue.Size,
            Descriptors = queue.DescriptorAddress,
            Available = queue.AvailableAddress,
            Used = queue.UsedAddress,
            IsEnabled = true,
            HasEventIndex = layout.HasEventIndex,
            HasIndirect = layout.TableCapacity != 0,
        };
        queue.Start();
        return (queue, device);
    }

    private static bool TryAdd(Virtqueue queue, int buffers, out ushort head)
    {
        head = 0;
        if (!queue.TryBegin(buffers, out DescriptorChain chain))
        {
            return false;
        }

        for (int i = 0; i < buffers; i++)
        {
            queue.Append(ref chain, 0x1000 * (ulong)(i + 1), (uint)i + 1, i >= buffers / 2);
        }

        queue.Add(ref chain);
        head = chain.Head;
        return true;
    }

    [Theory]
    [InlineData(256, 128, true, 128)]
    [InlineData(64, 128, true, 64)]
    [InlineData(100, 128, true, 64)]
    [InlineData(65535, 4, true, 4)]
    [InlineData(256, 128, false, 256)]
    [InlineData(1, 128, true, 1)]
    public void LayoutFollowsTheSpecification(int deviceSize, int capacity, bool isModern, int size)
    {
        VirtqueueLayout layout = VirtqueueLayout.Of(3, (ushort)deviceSize, capacity, 0, isModern ? Modern : 0);
        Assert.Equal(size, layout.Size);
        Assert.Equal(Math.Min(size, capacity), layout.Capacity);
        Assert.Equal(16u * (uint)size, layout.AvailableOffset);
        Assert.True(layout.UsedOffset >= layout.AvailableOffset + 6 + 2 * (uint)size);
        Assert.Equal(0u, layout.UsedOffset % (isModern ? 4u : 4096u));
        Assert.Equal(layout.UsedOffset + 6 + 8 * (uint)size, layout.RingBytes);
    }

    [Fact]
    public void BuffersArriveAsGiven()
    {
        foreach (ulong features in new[] { Modern, Modern | VirtioFeature.IndirectDescriptors })
        {
            (Virtqueue queue, FakeVirtioQueue device) = Build(16, 16, 8, features);
            Assert.True(TryAdd(queue, 5, out ushort head));
            Assert.False(device.TryPop(out _));
            Assert.True(queue.Publish());
            Assert.True(device.TryPop(out FakeChain? chain));
            Assert.Equal(head, chain!.Head);
            Assert.Equal(features != Modern, chain.IsIndirect);
            Assert.Equal(
                [new(0x1000, 1, false), new(0x2000, 2, false), new(0x3000, 3, true), new(0x4000, 4, true), new(0x5000, 5, true)],
                chain.Buffers);
            device.Push(chain, 12);
            Assert.True(queue.TryTakeUsed(out ushort used, out uint length));
            Assert.Equal((head, 12u), (used, length));
            Assert.Equal(16, queue.FreeDescriptors);
        }
    }

    [Fact]
    public void RequestsLongerThanATableAreChained()
    {
        (Virtqueue queue, FakeVirtioQueue device) = Build(16, 16, 4, Modern | VirtioFeature.IndirectDescriptors);
        Assert.True(TryAdd(queue, 10, out _));
        Assert.False(TryAdd(queue, 10, out _));
        Assert.True(TryAdd(queue, 4, out _));
        Assert.True(queue.Publish());
        Assert.True(device.TryPop(out FakeChain? first));
        Assert.True(device.TryPop(out FakeChain? second));
        Assert.False(first!.IsIndirect);
        Assert.True(second!.IsIndirect);
        Assert.Equal(10, first.Buffers.Count);
    }

    [Fact]
    public void NotificationsFollowTheEventIndex()
    {
        (Virtqueue queue, FakeVirtioQueue device) = Build(16, 16, 0, Modern | VirtioFeature.EventIndex);
        device.SetAvailableEvent(3);
        for (int i = 0; i < 3; i++)
        {
            Assert.True(TryAdd(queue, 1, out _));
            Assert.False(queue.Publish());
        }

        Assert.True(TryAdd(queue, 1, out _));
        Assert.True(queue.Publish());
        Assert.False(queue.Publish());
        Assert.True(TryAdd(queue, 1, out _));
        Assert.False(queue.Publish());
    }

    [Fact]
    public void InterruptsFollowTheEventIndex()
    {
        (Virtqueue queue, FakeVirtioQueue device) = Build(64, 64, 0, Modern | VirtioFeature.EventIndex);
        for (int i = 0; i < 40; i++)
        {
            Assert.True(TryAdd(queue, 1, out _));
        }

        queue.Publish();
        Assert.True(queue.TryRequestDelayedInterrupt());
        int interrupts = 0;
        for (int i = 0; i < 40; i++)
        {
            Assert.True(device.TryPop(out FakeChain? chain));
            interrupts += device.Push(chain!, 0) ? 1 : 0;
            Assert.Equal(i >= 30 ? 1 : 0, interrupts);
        }

        // Ten wait: a request for an interrupt comes too late for them, whichever kind.
        for (int i = 0; i < 30; i++)
        {
            Assert.True(queue.TryTakeUsed(out _, out _));
        }

        Assert.False(queue.TryRequestDelayedInterrupt());
        Assert.False(queue.TryRequestInterrupt());
        while (queue.TryTakeUsed(out _, out _))
        {
        }

        Assert.True(queue.TryRequestInterrupt());
        Assert.Equal(0, queue.InFlight);
    }

    [Fact]
    public void AStoppedQueueGivesAndTakesNothing()
    {
        (Virtqueue queue, FakeVirtioQueue device) = Build(16, 16, 0, Modern);
        Assert.True(TryAdd(queue, 2, out ushort head));
        queue.Publish();
        Assert.True(device.TryPop(out FakeChain? chain));
        device.Push(chain!, 0);
        queue.Stop();
        Assert.False(queue.TryTakeUsed(out _, out _));
        Assert.False(TryAdd(queue, 1, out _));
        Assert.False(queue.Publish());
        int from = 0;
        Assert.True(queue.TryFindInFlight(ref from, out ushort found));
        Assert.Equal(head, found);
        Assert.False(queue.TryFindInFlight(ref from, out _));
        queue.Clear();
        Assert.Equal((16, 0, false), (queue.FreeDescriptors, queue.InFlight, queue.IsRunning));
    }

    [Property(MaxTest = 12)]
    public void AgreesWithAModel(int seed)
    {
        Random random = new(seed);
        ulong features = Modern | (random.Next(2) == 0 ? VirtioFeature.EventIndex : 0)
            | (random.Next(2) == 0 ? VirtioFeature.IndirectDescriptors : 0);
        (Virtqueue queue, FakeVirtioQueue device) = Build(32, 32, 6, features);
        Pump(queue, device, random.Next(65_400, 65_600));
        Dictionary<ushort, int> inFlight = [];
        List<FakeChain> taken = [];
        for (int step = 0; step < 500; step++)
        {
            int buffers = random.Next(1, 9);
            bool isIndirect = (features & VirtioFeature.IndirectDescriptors) != 0 && buffers is > 1 and <= 6;
            int needed = isIndirect ? 1 : buffers;
            bool shouldFit = needed <= queue.FreeDescriptors;
            Assert.Equal(shouldFit, TryAdd(queue, buffers, out ushort head));
            if (shouldFit)
            {
                Assert.True(inFlight.TryAdd(head, needed));
            }

            if (random.Next(2) == 0)
            {
                queue.Publish();
            }

            while (random.Next(3) != 0 && device.TryPop(out FakeChain? chain))
            {
                taken.Add(chain!);
            }

            while (random.Next(3) != 0 && taken.Count > 0)
            {
                int pick = random.Next(taken.Count);
                device.Push(taken[pick], 0);
                taken.RemoveAt(pick);
            }

            while (random.Next(4) != 0 && queue.TryTakeUsed(out ushort id, out _))
            {
                Assert.True(inFlight.Remove(id));
            }

            int used = 0;
            foreach (int descriptors in inFlight.Values)
            {
                used += descriptors;
            }

            Assert.Equal(32 - used, queue.FreeDescriptors);
            Assert.Equal(inFlight.Count, queue.InFlight);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void NoWakeUpIsLostBetweenTwoCpus(bool hasEventIndex)
    {
        const int requests = 10_000;
        ulong features = Modern | (hasEventIndex ? VirtioFeature.EventIndex : 0);
        (Virtqueue queue, FakeVirtioQueue device) = Build(64, 64, 0, features);
        using SemaphoreSlim notified = new(0);
        using SemaphoreSlim interrupted = new(0);
        using CancellationTokenSource late = new(TimeSpan.FromSeconds(120));
        Exception? failure = null;
        Thread hardware = new(() =>
        {
            try
            {
                int done = 0;
                while (done < requests)
                {
                    while (device.TryPop(out FakeChain? chain))
                    {
                        done++;
                        if (device.Push(chain!, 0))
                        {
                            interrupted.Release();
                        }
                    }

                    if (done < requests)
                    {
                        notified.Wait(late.Token);
                    }
                }
            }
            catch (Exception problem)
            {
                failure = problem;
                late.Cancel();
            }
        });
        hardware.Start();
        int submitted = 0;
        int completed = 0;
        while (completed < requests)
        {
            while (submitted < requests && TryAdd(queue, 1, out _))
            {
                submitted++;
                if (submitted % 3 == 0 && queue.Publish())
                {
                    notified.Release();
                }
            }

            if (queue.Publish())
            {
                notified.Release();
            }

            do
            {
                while (queue.TryTakeUsed(out _, out _))
                {
                    completed++;
                }
            }
            while (!(submitted % 2 == 0 ? queue.TryRequestInterrupt() : queue.TryRequestDelayedInterrupt()));

            if (completed < requests && (queue.FreeDescriptors == 0 || submitted == requests))
            {
                try
                {
                    interrupted.Wait(late.Token);
                }
                catch (OperationCanceledException)
                {
                    Assert.Fail($"a wake-up was lost after {completed} completions: {failure}");
                }
            }
        }

        Assert.True(hardware.Join(TimeSpan.FromSeconds(60)));
        Assert.Null(failure);
    }

    [Fact]
    public void FaultsAreLoggedRarely()
    {
        VirtioHealth health = new(new PciAddress(0, 3, 0));
        for (int i = 0; i < 1000; i++)
        {
            health.Report(VirtioFault.WrongLength, 0, 7);
        }

        Assert.Equal(1000u, health.Faults);
        Assert.Equal(4 + 7, _machine.LogText.Lines);
        Assert.Contains("virtio 00:03.0 queue 0: a used length does not fit its buffer (0x7), fault 512", _machine.LogText.Text);
    }

    private static void Pump(Virtqueue queue, FakeVirtioQueue device, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Assert.True(TryAdd(queue, 1, out _));
            queue.Publish();
            Assert.True(device.TryPop(out FakeChain? chain));
            device.Push(chain!, 0);
            Assert.True(queue.TryTakeUsed(out _, out _));
        }
    }
}
