using System;
using System.CommandLine;
using Blanket.Abi;

namespace Blanket.Cli.Commands;

/// <summary><c>mem-policy</c>: what a running instance does when something needs more memory than is free.</summary>
internal static class MemoryPolicyCommand
{
    /// <summary>The policies' names.</summary>
    internal static readonly string[] Names = ["manual", "share"];

    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> policy = new("POLICY")
        {
            Description = "manual: what needs more memory than is free is refused; share: guests shrink towards their memory_min for it, and get it back.",
        };
        policy.AcceptOnlyFromAmong(Names);
        Command command = new("mem-policy", "Set what is done when a guest needs more memory than is free.") { policy, instance };
        command.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance),
            (_, client) => client.SetMemoryPolicyAsync(Enum.Parse<ManagementMemoryPolicy>(arguments.GetRequiredValue(policy), ignoreCase: true), cancellation),
            report,
            cancellation));
        return command;
    }
}
