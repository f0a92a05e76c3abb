using System;
using System.CommandLine;
using System.IO;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Running;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;

namespace Blanket.Cli.Commands;

/// <summary><c>console</c>: a guest's console on this terminal, or on standard input and output of a script.</summary>
internal static class ConsoleCommand
{
    private const int BufferSize = 4096;

    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> guest = InstanceCommand.GuestArgument();
        Command command = new("console", "Connect to a guest's console; Ctrl-] q leaves.") { guest, instance };
        command.SetAction((arguments, cancellation) =>
            ConnectAsync(Instance.Find(arguments.GetValue(instance)), arguments.GetRequiredValue(guest), report, cancellation));
        return command;
    }

    private static async Task<NetworkStream> OpenLineAsync(Instance instance, string guest, CancellationToken cancellation)
    {
        try
        {
            return await SocketClient.ConnectAsync(instance.ConsoleSocket(guest), cancellation).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            throw new InputException($"instance {instance.Name} has no console of {guest}");
        }
    }

    private static async Task<int> ConnectAsync(Instance instance, string guest, Report report, CancellationToken cancellation)
    {
        if (!GuestName.IsValid(guest))
        {
            throw new InputException($"{guest} is no name of a guest");
        }

        await using NetworkStream line = await OpenLineAsync(instance, guest, cancellation).ConfigureAwait(false);
        if (!Terminal.IsPresent)
        {
            await using Stream input = Console.OpenStandardInput();
            await using Stream output = Console.OpenStandardOutput();
            Task typing = input.CopyToAsync(line, cancellation);
            await line.CopyToAsync(output, cancellation).ConfigureAwait(false);
            return ExitStatus.Success;
        }

        report.Line("Ctrl-] q leaves");
        using Terminal terminal = Terminal.Open();
        using CancellationTokenSource leave = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task keys = TypeAsync(terminal.Input, line);
        Task show = line.CopyToAsync(terminal.Output, leave.Token);
        await Task.WhenAny(keys, show).ConfigureAwait(false);
        await leave.CancelAsync().ConfigureAwait(false);
        return ExitStatus.Success;
    }

    /// <summary>Sends keys until the user wants to leave.</summary>
    private static async Task TypeAsync(Stream input, Stream line)
    {
        KeyInterpreter interpreter = new();
        byte[] buffer = new byte[BufferSize];
        for (int count = await input.ReadAsync(buffer).ConfigureAwait(false); count > 0; count = await input.ReadAsync(buffer).ConfigureAwait(false))
        {
            foreach (KeyCommand command in interpreter.Interpret(buffer.AsSpan(0, count)))
            {
                if (command.Action == KeyAction.Leave)
                {
                    return;
                }

                if (command.Action == KeyAction.Send)
                {
                    await line.WriteAsync(new[] { command.Value }).ConfigureAwait(false);
                }
            }
        }
    }
}
