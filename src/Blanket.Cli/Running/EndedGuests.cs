using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Commands;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Running;

/// <summary>
/// Takes away what the machine has for guests that are gone, as their disk images, which would stay open in QEMU when nobody
/// asked for their end. Works beside the run, whose log says who is gone.
/// </summary>
/// <param name="instance">The run; null when other commands cannot find it, and then there is nothing to do.</param>
internal sealed class EndedGuests(Instance? instance) : IAsyncDisposable
{
    private readonly CancellationTokenSource _end = new();
    private Task _work = Task.CompletedTask;

    /// <summary>1 while a turn is waited for that serves all who are gone by then.</summary>
    private int _isAsked;

    /// <summary>Looks at an event of the log.</summary>
    internal void Note(RunEvent happening)
    {
        if (instance is not null && happening.Name == RunEvent.GuestGone && Interlocked.Exchange(ref _isAsked, 1) == 0)
        {
            _work = ContinueAsync(_work, instance);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _work.ConfigureAwait(false);
        _end.Dispose();
    }

    private async Task ContinueAsync(Task before, Instance found)
    {
        await before.ConfigureAwait(false);
        try
        {
            await Task.Yield();
            using ManagementClient client = await ConnectAsync(found).ConfigureAwait(false);
            using GuestParts machine = await GuestParts.OpenAsync(found, _end.Token).ConfigureAwait(false);
            await StartCommand.ReleaseAsync(client, machine, _end.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HostException or ManagementException or IOException or OperationCanceledException)
        {
            // The machine powers off with its last guest.
        }
    }

    private async Task<ManagementClient> ConnectAsync(Instance found)
    {
        try
        {
            return await ManagementClient.ConnectAsync(found, static () => { }, _end.Token).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Exchange(ref _isAsked, 0);
        }
    }
}
