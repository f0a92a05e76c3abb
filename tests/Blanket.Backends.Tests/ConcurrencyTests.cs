using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>Guests and devices on several CPUs at once.</summary>
public sealed class ConcurrencyTests
{
    private const int Requests = 3000;
    private const int Packets = 2000;

    [Fact]
    public void Requests_and_completions_on_several_cpus()
    {
        TestMachine machine = new(2048, cpus: 3);
        TestGuest guest = machine.CreateGuest(1);
        ThreadedDisk disk = new();
        VbdSettings settings = new() { VirtualDevice = 51712 };
        Assert.Equal(0, VbdDevice.Create(machine.Bus, machine.Owner, guest.Domain, disk, settings, out VbdDevice? vbd));
        machine.Settle();
        FakeBlkfront front = new(guest, 51712);
        front.Connect(queues: 2, order: 1);
        Segment[][] pages = Enumerable.Range(0, 2).Select(_ => Enumerable.Range(0, 8).Select(_ => new Segment(guest.Grant(guest.NewFrame()), 0, 7)).ToArray()).ToArray();
        int done = 0;
        RunOnCpus(
            machine,
            () => Submit(machine, front, 0, pages[0], ref done),
            () => Submit(machine, front, 1, pages[1], ref done),
            () =>
            {
                while (Volatile.Read(ref done) < 2)
                {
                    disk.Complete();
                    machine.RunExitPath();
                }
            });
        Assert.Equal(4, guest.PinCount);
        vbd!.Destroy();
        machine.Settle();
        Assert.Equal(0, guest.PinCount);
        Assert.Single(machine.Owner.Gone);
    }

    [Fact]
    public void A_guest_dies_while_its_requests_end_elsewhere()
    {
        for (int round = 0; round < 30; round++)
        {
            TestMachine machine = new(1024, cpus: 2);
            TestGuest guest = machine.CreateGuest(1);
            ThreadedDisk disk = new();
            VbdSettings settings = new() { VirtualDevice = 51712 };
            Assert.Equal(0, VbdDevice.Create(machine.Bus, machine.Owner, guest.Domain, disk, settings, out VbdDevice? vbd));
            machine.Settle();
            FakeBlkfront front = new(guest, 51712);
            front.Connect();
            Segment page = new(guest.Grant(guest.NewFrame()), 0, 7);
            for (int i = 0; i < 32; i++)
            {
                front.PutTransfer(0, i % 5 == 4 ? BlkifOperation.WriteBarrier : BlkifOperation.Write, (ulong)i, 0, [page]);
            }

            front.Rings[0].Push();
            RunOnCpus(
            machine,
                () =>
                {
                    vbd!.Destroy();
                    while (machine.Owner.Gone.Count == 0)
                    {
                        machine.RunExitPath();
                    }
                },
                () =>
                {
                    while (machine.Owner.Gone.Count == 0)
                    {
                        disk.Complete();
                        machine.RunExitPath();
                    }
                });
            Assert.Equal(0, guest.PinCount);
            Assert.Equal(0, guest.BoundPorts);
        }
    }

    [Fact]
    public void Packets_between_guests_and_outside_on_several_cpus()
    {
        TestMachine machine = new(4096, cpus: 3);
        NetworkSwitch network = NetworkSwitch.Create(machine.Host, 7)!;
        FakeNic nic = new() { Room = 20 };
        Assert.Equal(0, network.CreateUplink(nic));
        FakeNetfront.Queue[] queues = new FakeNetfront.Queue[2];
        TestGuest[] guests = new TestGuest[2];
        List<VifDevice> vifs = new();
        for (int i = 0; i < 2; i++)
        {
            guests[i] = machine.CreateGuest((ushort)(i + 1));
            VifSettings settings = new();
            Frames.Mac(i + 1).CopyTo(settings.Address);
            Assert.Equal(0, VifDevice.Create(machine.Bus, machine.Owner, guests[i].Domain, network, settings, out VifDevice? vif));
            machine.Settle();
            FakeNetfront front = new(guests[i], 0);
            front.Connect(buffers: 100);
            queues[i] = front.Queues[0];
            vifs.Add(vif!);
        }

        int done = 0;
        int first = 0;
        int second = 0;
        RunOnCpus(
            machine,
            () => first = Exchange(machine, queues[0], 1, 2, ref done),
            () => second = Exchange(machine, queues[1], 2, 1, ref done),
            () =>
            {
                byte[] packet = Frames.Plain(Frames.Mac(1), Frames.Mac(77), 700);
                while (Volatile.Read(ref done) < 2)
                {
                    nic.Finish(10);
                    nic.Receive(packet);
                    machine.RunExitPath();
                }

                nic.Finish();
            });
        // How many packets find buffers depends on how the threads run; that some do does not.
        Assert.True(first > 0);
        Assert.True(second > 0);
        machine.Now += NetLimits.ReceivePatience;
        machine.Bus.Process();
        machine.Settle();
        nic.Finish();
        machine.Settle();
        foreach (VifDevice vif in vifs)
        {
            vif.Destroy();
        }

        machine.Settle();
        Assert.Equal(2, machine.Owner.Gone.Count);
        Assert.All(guests, guest => Assert.Equal(0, guest.PinCount));
        Assert.Equal(64, nic.BufferCount());
    }

    private static void Submit(TestMachine machine, FakeBlkfront front, int ring, Segment[] pages, ref int done)
    {
        HashSet<ulong> waiting = new();
        ulong next = 0;
        while (next < Requests || waiting.Count > 0)
        {
            for (int i = 0; i < 5 && next < Requests && front.Rings[ring].Free > 0; i++)
            {
                BlkifOperation operation = next % 9 == 8 ? BlkifOperation.WriteBarrier : BlkifOperation.Write;
                front.PutTransfer(ring, operation, next, 0, pages.AsSpan(0, (int)(next % 8) + 1));
                waiting.Add(next++);
            }

            front.Rings[ring].Push();
            foreach (Response response in front.Take(ring))
            {
                Assert.Equal(0, response.Status);
                Assert.True(waiting.Remove(response.Id));
            }

            machine.RunExitPath();
        }

        Interlocked.Increment(ref done);
    }

    private static int Exchange(TestMachine machine, FakeNetfront.Queue queue, int self, int other, ref int done)
    {
        Random random = new(self);
        int received = 0;
        int sent = 0;
        while (sent < Packets || queue.Sending > 0)
        {
            for (int i = 0; i < 5 && sent < Packets && queue.Transmit.Free > 20; i++, sent++)
            {
                byte[] target = random.Next(4) == 0 ? Frames.Mac(77) : Frames.Mac(other);
                queue.Put(Frames.Plain(target, Frames.Mac(self), random.Next(60, 1500)), piece: 500);
            }

            queue.Transmit.Push();
            queue.TakeAnswers();
            foreach (ReceivedPacket packet in queue.Take())
            {
                Assert.False(packet.HasError);
                received++;
            }

            queue.Offer(random.Next(20));
            machine.RunExitPath();
        }

        Interlocked.Increment(ref done);

        // The other guest's packets still need buffers.
        while (Volatile.Read(ref done) < 2)
        {
            received += queue.Take().Count;
            queue.Offer(20);
            machine.RunExitPath();
        }

        return received;
    }

    /// <summary>
    /// Runs actions as CPUs; each has to call <see cref="TestMachine.RunExitPath"/> in its loops, which ends them all when one fails: the
    /// simulated memory must not go away under a thread.
    /// </summary>
    private static void RunOnCpus(TestMachine machine, params Action[] actions)
    {
        ConcurrentQueue<Exception> failures = new();
        Thread[] threads = actions.Select((action, cpu) => new Thread(() =>
        {
            Cpu.Number = cpu;
            try
            {
                action();
            }
            catch (Exception failure)
            {
                failures.Enqueue(failure);
                machine.Stop();
            }
        })).ToArray();
        foreach (Thread thread in threads)
        {
            thread.Start();
        }

        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        Assert.Empty(failures);
    }

    /// <summary>A disk that ends requests only when told, on whatever CPU.</summary>
    private sealed class ThreadedDisk : BlockDevice
    {
        private readonly ConcurrentQueue<(int Queue, uint Tag)> _pending = new();
        private int _isFull;
        private BlockGeometry _geometry = new()
        {
            Sectors = 1 << 20,
            LogicalBlockSize = 512,
            PhysicalBlockSize = 512,
            MaximumSegments = 3,
            MaximumSegmentSize = 4096,
            HasFlush = true,
        };

        public override ref readonly BlockGeometry Geometry => ref _geometry;

        public override int QueueCount => 2;

        public override ReadOnlySpan<byte> Serial => default;

        public override bool TrySubmit(int queue, in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
        {
            if (_pending.Count > 20)
            {
                Volatile.Write(ref _isFull, 1);
                return false;
            }

            _pending.Enqueue((queue, request.Tag));
            return true;
        }

        public override void Kick(int queue)
        {
        }

        internal void Complete()
        {
            for (int i = 0; i < 4 && _pending.TryDequeue(out (int Queue, uint Tag) request); i++)
            {
                Client!.Completed(request.Tag, BlockStatus.Success);
                Client!.CompletionsEnd(request.Queue);
            }

            if (Interlocked.Exchange(ref _isFull, 0) != 0)
            {
                Client?.RoomAvailable(0);
                Client?.RoomAvailable(1);
            }
        }
    }
}
